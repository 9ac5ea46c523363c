"""The screens under Textual's Pilot."""

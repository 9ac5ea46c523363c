"""The words of the project: frozen dataclasses, enums and pure rules. Standard library only."""

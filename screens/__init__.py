"""The screens: they show what a service says and tell it what the user chose."""

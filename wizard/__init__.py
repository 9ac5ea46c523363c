"""Everything of s2s-wizard that is not a screen."""

__version__ = "0.1.0"

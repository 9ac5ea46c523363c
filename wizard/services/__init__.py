"""What is done for the user: one module behind each screen."""

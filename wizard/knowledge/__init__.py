"""What is known, as data, and the code that loads it."""

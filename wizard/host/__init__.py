"""What touches the machine: the ports, and one adapter in a file for each."""

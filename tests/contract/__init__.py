"""One suite for each port, run on the real adapter and on the simulated one: both keep the same promises."""

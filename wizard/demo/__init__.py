"""The simulated machine: the same ports, answering from ``machines/*.toml``; nothing here touches the real one."""

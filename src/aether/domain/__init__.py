"""What the platform is about, as values and pure functions: no I/O, no clock of its own."""

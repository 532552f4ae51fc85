"""How a compiled program calls Python on the host."""

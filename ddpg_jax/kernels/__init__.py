"""Kernels of our own for processors, in C, which compiled programs call; whoever has none uses XLA's."""

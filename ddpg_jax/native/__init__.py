"""This package's C: sources, the library built of them, and the version of XLA's interface that both speak."""

"""The run directory and what is kept in it: settings, metrics, checkpoints."""

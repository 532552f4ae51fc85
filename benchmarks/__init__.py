"""Measurements of ddpg_jax; each script has `--help`."""

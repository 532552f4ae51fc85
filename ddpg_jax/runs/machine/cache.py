"""Compiled programs, kept from one process to the next."""

import os
from pathlib import Path

import jax

FOLDER = "jax_compilation_cache_dir"
THRESHOLD = "jax_persistent_cache_min_compile_time_secs"


def enable_compilation_cache() -> Path | None:
    """Turn on JAX's persistent compilation cache, for every program however small.

    The folder is `JAX_COMPILATION_CACHE_DIR`, or `ddpg_jax` in the user's cache folder. On CPU that is every
    program; elsewhere JAX stores none that steps a Gymnasium environment (callbacks/host_call.py).

    Returns:
        The folder, or None if it cannot be written; programs are then compiled anew in each process.
    """
    folder = Path(getattr(jax.config, FOLDER) or default_folder())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update(FOLDER, str(folder))
    if THRESHOLD.upper() not in os.environ:
        jax.config.update(THRESHOLD, 0.0)
    return folder


def default_folder() -> Path:
    """Where a user's caches lie, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ddpg_jax"

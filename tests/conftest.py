"""Shared by all tests: worlds whose values are known, and compiled programs kept between sessions."""

import os
import pathlib
import sys

import jax

ROOT = pathlib.Path(__file__).parents[1]
# `benchmarks/` is part of the repository and not of the installed package.
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

# For the processes that tests start, too.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".jax_cache")
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

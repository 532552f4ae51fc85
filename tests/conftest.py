"""Shared by all tests: worlds whose values are known, and compiled programs kept between sessions."""

import os
import pathlib
import sys

# Most of the suite's time is XLA's, and most programs of it run for milliseconds: compiled by simpler emitters and
# without optimisation they are there in a third of the time. Set before JAX reads it, for processes that tests start,
# too. What is looked for in a compiled program is looked for in `programs.compile_as_users_do`.
os.environ["XLA_FLAGS"] = " ".join(
    ("--xla_cpu_use_fusion_emitters=false", "--xla_backend_optimization_level=0", os.environ.get("XLA_FLAGS", ""))
)

import jax

ROOT = pathlib.Path(__file__).parents[1]
# `benchmarks/` is part of the repository and not of the installed package.
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

# For the processes that tests start, too.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".jax_cache")
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

"""Shared by all tests: worlds whose values are known, and compiled programs kept between sessions."""

import gc
import itertools
import os
import pathlib
import sys
import threading

# Before the package is imported: tests are of the one beside them. `benchmarks/` is part of no installed package.
sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from programs import HAS_SIMPLER_EMITTERS

# Most of the suite's time is XLA's, and most programs of it run for milliseconds: compiled by simpler emitters and
# without optimisation, each in one piece, they are there in a third of the time. Set before JAX reads it, for processes
# that tests start, too. What is looked for in a compiled program is looked for in one of `programs`.
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_cpu_use_fusion_emitters=false" if HAS_SIMPLER_EMITTERS else "",
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
        os.environ.get("XLA_FLAGS", ""),
    )
)
# No test reads which lines of Python a program comes from, and to find them is a good part of its lowering.
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"

import jax
import pytest

from ddpg_jax.callbacks import deferred_call, foreign_call

ROOT = pathlib.Path(__file__).parents[1]

# For the processes that tests start, too.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".jax_cache")
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# What is compiled stays, millions of objects, and Python looks through all of them again and again.
gc.set_threshold(50_000, 20, 50)

# Where the longest files begin last, one worker is left with them alone.
LONGEST = ("test_resume.py", "test_examples.py", "test_faults.py", "test_loop.py", "test_probes.py", "test_64_bits.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(optionalhook=True)  # there are tests of these tests, which load no plugins
def pytest_xdist_auto_num_workers(config):
    """One more than there are processors, since a sixth of the time tests wait: for a browser, a timeout, a signal."""
    chosen = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    return int(chosen) if chosen else (os.cpu_count() or 1) + 1


class CallNumbers:
    """Numbers of calls to the host (`foreign_call.NUMBERS`) that begin at 0 again with each test.

    The number stands in the compiled program: with the same one, the program of another test is found in the cache.
    As ever no number is given twice in a test, and none that stands for a function.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.start_again()

    def start_again(self):
        self.numbers = itertools.count()

    def __next__(self):
        with self.lock:
            return next(n for n in self.numbers if n not in foreign_call.FUNCTIONS and n not in deferred_call.CALLS)


CALL_NUMBERS = CallNumbers()
foreign_call.NUMBERS = deferred_call.NUMBERS = CALL_NUMBERS


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    CALL_NUMBERS.start_again()

"""Programs as they are compiled outside of the tests, whose own are compiled in haste (conftest.py)."""

from importlib.metadata import version
from typing import Any

# XLA refuses options that it does not know. From jaxlib 0.11 on it has no simpler emitters of fusions any more.
HAS_SIMPLER_EMITTERS = version("jaxlib").startswith("0.10.")
# As XLA's own flags are; what is in a program, and which arrays share memory, is settled before LLVM begins.
UNTIL_LLVM = {"xla_cpu_use_fusion_emitters": True} if HAS_SIMPLER_EMITTERS else {}
TO_THE_END = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}


def compile_as_users_do(function: Any, *args: Any) -> Any:
    """A jitted function, compiled for arguments like these."""
    return function.lower(*args).compile(compiler_options=UNTIL_LLVM | TO_THE_END)


def compile_to_read(function: Any, *args: Any) -> Any:
    """The same program, to be read and not to be run."""
    return function.lower(*args).compile(compiler_options=UNTIL_LLVM)

"""Programs as they are compiled outside of the tests, whose own are compiled in haste (conftest.py)."""

from typing import Any

XLAS_OWN = {"xla_cpu_use_fusion_emitters": True, "xla_backend_optimization_level": 3}


def compile_as_users_do(function: Any, *args: Any) -> Any:
    """A jitted function, compiled for arguments like these."""
    return function.lower(*args).compile(compiler_options=XLAS_OWN)

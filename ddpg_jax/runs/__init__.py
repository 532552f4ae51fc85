"""What a person handles: runs in directories of their own, by the command line or from Python.

`train`, `resume` and `load` are here for Python; the command line is `ddpg_jax.runs.console.cli`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpg_jax.runs.library import Loaded as Loaded
    from ddpg_jax.runs.library import Result as Result
    from ddpg_jax.runs.library import load as load
    from ddpg_jax.runs.library import resume as resume
    from ddpg_jax.runs.library import train as train

__all__ = ["Loaded", "Result", "load", "resume", "train"]


def __getattr__(name: str) -> Any:
    """A public name, whose module is imported when it is first asked for: it needs what the package itself does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ddpg_jax.runs import library

    return getattr(library, name)

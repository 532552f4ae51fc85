"""One door from the compiled program to Python on the host."""

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import io_callback
from jax.experimental.buffer_callback import buffer_callback

from ddpg_jax.types import Array

THREAD = threading.local()


def host_call(function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], *inputs: Array) -> list[Array]:
    """Call `function(outputs, *inputs)` on the host from inside a traced program.

    On CPU the function reads and writes XLA's own buffers (a few microseconds a call); elsewhere
    a buffer is not host memory, and the arrays are copied.

    Args:
        function: writes every NumPy array of its first argument; what it wants of the others it reads
            with `np.asarray` (each costs about a microsecond); returns nothing and does not raise.
        outputs: shapes and dtypes of what is written.
        inputs: arrays to be read.

    Returns:
        The arrays written.
    """
    call = call_on_buffers if jax.default_backend() == "cpu" else call_on_copies
    return call(function, outputs, *inputs)


def call_on_buffers(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], *inputs: Array
) -> list[Array]:
    """The call without copies, for backends whose buffers are host memory."""

    def on_buffers(context: Any, written: list[Any], *read: Any) -> None:
        keep_thread_state()
        function([np.asarray(buffer) for buffer in written], *read)

    return buffer_callback(on_buffers, outputs, has_side_effect=True, vmap_method="expand_dims")(*inputs)


def call_on_copies(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], *inputs: Array
) -> list[Array]:
    """The call through copies, for every other backend."""

    def on_copies(*arrays: Any) -> list[np.ndarray]:
        written = [np.empty(output.shape, output.dtype) for output in outputs]
        function(written, *arrays)
        return written

    return io_callback(on_copies, outputs, *inputs)


def keep_thread_state() -> None:
    """Keep the calling thread's Python state from being destroyed when the call returns.

    A thread of XLA's gets a new state at each call and loses it after: 50 microseconds, more than most
    environments' step. Entered once more than it is left, it stays (benchmarks/NOTES.md).
    """
    if not hasattr(THREAD, "kept"):
        ctypes.pythonapi.PyGILState_Ensure()
        THREAD.kept = True

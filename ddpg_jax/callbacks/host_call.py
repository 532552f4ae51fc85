"""The call of a Python function on the host from a compiled program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import io_callback

from ddpg_jax.callbacks import host_threads
from ddpg_jax.callbacks.deferred_call import make_blocking_call
from ddpg_jax.callbacks.foreign_call import check_arguments, make_foreign_call
from ddpg_jax.native.interface import is_known
from ddpg_jax.types import Array


def make_host_call(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], inputs: Sequence[jax.ShapeDtypeStruct]
) -> Callable[..., Sequence[Array]]:
    """Build `call(*inputs) -> arrays`, by which a traced program calls `function(outputs, *inputs)` on the host.

    On CPU a call costs a few microseconds, and JAX's compilation cache keeps the program: the function runs in a thread
    of its own, on arrays that stay where they are, or, where the kernels were not compiled, on views of XLA's own
    buffers. Elsewhere a buffer is not host memory, and the arrays are copied.

    Args:
        function: writes NumPy arrays of its first argument, and reads the others, all while it is called;
            returns nothing and does not raise; no two of its calls are under way at a time.
        outputs: shapes and dtypes of what is written.
        inputs: shapes and dtypes of what is read.
    """
    make = make_foreign_call if jax.default_backend() == "cpu" and is_known() else make_call_on_copies
    return make_blocking_call(function, outputs, inputs) or make(function, outputs, inputs)


def make_call_on_copies(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], inputs: Sequence[jax.ShapeDtypeStruct]
) -> Callable[..., Sequence[Array]]:
    """The call through copies, for backends whose buffers are not host memory."""

    def on_copies(*arrays: Any) -> list[np.ndarray]:
        written = [np.empty(output.shape, output.dtype) for output in outputs]
        with host_threads.default_mode():
            function(written, *arrays)
        return written

    def call(*arguments: Array) -> Sequence[Array]:
        check_arguments(inputs, arguments)
        return io_callback(on_copies, outputs, *arguments)

    return call

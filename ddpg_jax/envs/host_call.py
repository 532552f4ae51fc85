"""One door from the compiled program to Python on the host."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import io_callback
from jax.experimental.buffer_callback import buffer_callback

from ddpg_jax.types import Tree


def host_call(function: Callable[..., None], outputs: Tree, *inputs: Tree) -> Tree:
    """Call `function(outputs, *inputs)` on the host from inside a traced program.

    On CPU the function reads and writes XLA's own buffers (a few microseconds a call); elsewhere
    a buffer is not host memory, and the arrays are copied.

    Args:
        function: writes every NumPy array of its first argument; what it wants of the others it reads
            with `np.asarray` (each costs about a microsecond); returns nothing and does not raise.
        outputs: tree of `jax.ShapeDtypeStruct` to be written.
        inputs: trees of arrays to be read.

    Returns:
        The tree of arrays written.
    """
    call = call_on_buffers if jax.default_backend() == "cpu" else call_on_copies
    return call(function, outputs, *inputs)


def call_on_buffers(function: Callable[..., None], outputs: Tree, *inputs: Tree) -> Tree:
    """The call without copies, for backends whose buffers are host memory."""
    structure: Any
    input_structure: Any
    flat_outputs, structure = jax.tree.flatten(outputs)
    flat_inputs, input_structure = jax.tree.flatten(inputs)

    def on_buffers(context: Any, written: list[Any], *read: Any) -> None:
        function(
            structure.unflatten([np.asarray(buffer) for buffer in written]),
            *input_structure.unflatten(read),
        )

    call = buffer_callback(on_buffers, flat_outputs, has_side_effect=True, vmap_method="expand_dims")
    return structure.unflatten(call(*flat_inputs))


def call_on_copies(function: Callable[..., None], outputs: Tree, *inputs: Tree) -> Tree:
    """The call through copies, for every other backend."""

    def on_copies(*arrays: Tree) -> Tree:
        written = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), outputs)
        function(written, *arrays)
        return written

    return io_callback(on_copies, outputs, *inputs)

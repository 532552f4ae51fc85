"""Host calls by C: at once, or in two halves between which a compiled program does other work (kernels/errand.c)."""

import ctypes
import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.envs.foreign_call import NUMBERS, check_arguments, keep_thread_state
from ddpg_jax.envs.side_effect import make_call
from ddpg_jax.kernels import library
from ddpg_jax.types import Array, Tree

SCALAR = jax.ShapeDtypeStruct((), jnp.float32)
# Dimensions of a batch's numbers, `[U, B]`, and of its vectors.
NUMBERS_OF_ROWS, VECTORS_OF_ROWS = 2, 3
Errand = Callable[[Sequence[Array], Callable[..., tuple[Tree, Array]]], tuple[Tree, Sequence[Array]]]


class Call(NamedTuple):
    """What a number stands for.

    Attributes:
        run: `run()`, the function on the arrays that it writes and reads.
        failure: why it failed the last time, in a list, since C reads it later.
        layout: bytes and addresses of these arrays, which C reads.
    """

    run: Callable[[], None]
    failure: list[bytes]
    layout: tuple[Any, Any]


CALLS: dict[int, Call] = {}
GONE = b"LookupError: the environment of this program was closed while it ran"


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)
def perform(number: int) -> int | None:
    """What C calls, in whatever thread; the address of why it failed, or None."""
    keep_thread_state()
    call = CALLS.get(number)
    if call is None:
        return address(GONE)
    try:
        call.run()
    except BaseException as error:
        call.failure[:] = [f"{type(error).__name__}: {error}".encode()]
        return address(call.failure[0])
    return None


def address(text: bytes) -> int | None:
    """Where a text lies that is kept."""
    return ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value


def make_errand(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], inputs: Sequence[jax.ShapeDtypeStruct]
) -> Errand | None:
    """Build the call of `function(outputs, *inputs)` in two halves, or None where there are no kernels for it.

    It is `errand(inputs, work) -> (result, outputs)`: the call is begun, then `result, last = work(wait)` is computed,
    where `wait(tree)` is a tree that is there when the call has begun, and `last` a scalar that is there late, then the
    call is waited for.

    Args:
        function: as `make_host_call` takes it; no two of its calls are under way at a time.
        outputs: shapes and dtypes of what is written.
        inputs: shapes and dtypes of what is read.
    """
    number = make_known(function, outputs, inputs)
    if number is None:
        return None
    begin = make_call("ddpg_jax_errand_begin", [SCALAR], number)
    end = make_call("ddpg_jax_errand_end", outputs, number)

    def errand(arguments: Sequence[Array], work: Callable[..., tuple[Tree, Array]]) -> tuple[Tree, Sequence[Array]]:
        check_arguments(inputs, arguments)
        (zero,) = begin(*arguments)
        result, last = work(lambda tree: after(zero, tree, VECTORS_OF_ROWS))
        return result, end(zero, last.astype(jnp.float32))

    weakref.finalize(errand, forget, number).atexit = False
    return errand


def make_prompt_call(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], inputs: Sequence[jax.ShapeDtypeStruct]
) -> Callable[..., Sequence[Array]] | None:
    """Build `call(*inputs) -> outputs`, waited for at once; arguments and None as of `make_errand`."""
    number = make_known(function, outputs, inputs)
    if number is None:
        return None
    call_now = make_call("ddpg_jax_errand_call", outputs, number)

    def call(*arguments: Array) -> Sequence[Array]:
        check_arguments(inputs, arguments)
        return call_now(*arguments)

    weakref.finalize(call, forget, number).atexit = False
    return call


def make_known(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], inputs: Sequence[jax.ShapeDtypeStruct]
) -> int | None:
    """The number by which programs call a function, never another's, or None where there are no kernels for it."""
    kernels = library.load() if library.are_usable() else None
    if kernels is None:
        return None
    number = next(NUMBERS)
    written, read = ([np.zeros(like.shape, like.dtype) for like in side] for side in (outputs, inputs))
    arrays = [*written, *read]
    sizes = (ctypes.c_int64 * len(arrays))(*[array.nbytes for array in arrays])
    buffers = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    counts = map(ctypes.c_int64, (number, len(outputs), len(inputs)))
    if not kernels.functions.ddpg_jax_errand_new(perform, *counts, sizes, buffers):
        return None
    CALLS[number] = Call(functools.partial(function, written, *read), [], (sizes, buffers))
    return number


def forget(number: int) -> None:
    """Programs that call this number from now on fail."""
    kernels = library.load()
    if kernels:
        kernels.functions.ddpg_jax_errand_forget(ctypes.c_int64(number))
    del CALLS[number]


def after(zero: Array, tree: Tree, rank: int) -> Tree:
    """The same tree, there only when a scalar is, which is 0: added to its leaves of at most so many dimensions.

    XLA chooses the order of kernels that do not depend on each other, and mostly runs one after the other; an
    `optimization_barrier` makes no difference to it on CPU.
    """
    return jax.tree.map(
        lambda leaf: leaf + zero.astype(leaf.dtype) if leaf.ndim <= rank and leaf.dtype != jnp.bool_ else leaf, tree
    )

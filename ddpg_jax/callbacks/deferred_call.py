"""Host calls by C: blocking, or begun and waited for later, with other work between (native/deferred_call.c)."""

import atexit
import ctypes
import functools
import os
import weakref
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.callbacks import host_threads
from ddpg_jax.callbacks.foreign_call import NUMBERS, check_arguments, describe_failure
from ddpg_jax.callbacks.side_effect import make_call
from ddpg_jax.callbacks.tokens import VECTORS_OF_ROWS, wait_for
from ddpg_jax.native import library
from ddpg_jax.types import Array, Tree

SCALAR = jax.ShapeDtypeStruct((), jnp.float32)
DeferredCall = Callable[[Sequence[Array], Callable[..., tuple[Tree, Array]]], tuple[Tree, Sequence[Array]]]
# What a number stands for: the function on the arrays that it writes and reads.
CALLS: dict[int, Callable[[], None]] = {}


def make_deferred_call(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], inputs: Sequence[jax.ShapeDtypeStruct]
) -> DeferredCall | None:
    """Build the deferred call of `function(outputs, *inputs)`, or None where there are no kernels for it.

    It is `deferred(inputs, work) -> (result, outputs)`: the call is begun, then `result, token = work(wait)`
    is computed, then the call is waited for. `wait(tree)` is the same tree, there when the call has begun; `token` is a
    scalar that is there when the work is all but done.

    Args:
        function: as `make_host_call` takes it; no two of its calls are under way at a time.
        outputs: shapes and dtypes of what is written.
        inputs: shapes and dtypes of what is read.
    """
    number = register_function(function, outputs, inputs)
    if number is None:
        return None
    begin = make_call("ddpg_jax_call_begin", [SCALAR], number)
    end = make_call("ddpg_jax_call_end", outputs, number)

    def deferred(arguments: Sequence[Array], work: Callable[..., tuple[Tree, Array]]) -> tuple[Tree, Sequence[Array]]:
        check_arguments(inputs, arguments)
        (begun,) = begin(*arguments)
        result, token = work(lambda tree: wait_for(begun, tree, VECTORS_OF_ROWS))
        return result, end(begun, token.astype(jnp.float32))

    weakref.finalize(deferred, unregister, number).atexit = False
    return deferred


def make_blocking_call(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], inputs: Sequence[jax.ShapeDtypeStruct]
) -> Callable[..., Sequence[Array]] | None:
    """Build `call(*inputs) -> outputs`, waited for at once; arguments and None as of `make_deferred_call`."""
    number = register_function(function, outputs, inputs)
    if number is None:
        return None
    call_now = make_call("ddpg_jax_call", outputs, number)

    def call(*arguments: Array) -> Sequence[Array]:
        check_arguments(inputs, arguments)
        return call_now(*arguments)

    weakref.finalize(call, unregister, number).atexit = False
    return call


def register_function(
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
    if not kernels.functions.ddpg_jax_function_new(*counts, sizes, buffers):
        return None
    CALLS[number] = functools.partial(function, written, *read)
    start_serving(kernels.functions)
    return number


def unregister(number: int) -> None:
    """Programs that call this number from now on fail."""
    kernels = library.load()
    if kernels:
        kernels.functions.ddpg_jax_function_forget(ctypes.c_int64(number))
    del CALLS[number]


@functools.cache
def start_serving(functions: ctypes.CDLL) -> None:
    """Start the first thread that answers calls, once."""
    atexit.register(host_threads.wait_for, functions.ddpg_jax_end_calls)
    os.register_at_fork(after_in_child=functions.ddpg_jax_forget_calls)
    host_threads.start(functools.partial(serve, functions))


def serve(functions: ctypes.CDLL) -> None:
    """Answer calls, one after the other; where no other thread waits for them meanwhile, there will be one more."""
    others, failure = ctypes.c_int(), None
    while True:
        number = functions.ddpg_jax_next_call(failure, ctypes.byref(others))
        if not others.value:
            host_threads.start(functools.partial(serve, functions))
        run = CALLS.get(number)  # and its arrays, until what it has written is copied
        failure = run_call(run)


def run_call(run: Callable[[], None] | None) -> bytes | None:
    """Why a function failed, or None."""
    if run is None:
        return b"LookupError: the environment of this program was closed while it ran"
    try:
        run()
    except BaseException as error:
        return describe_failure(error)
    return None

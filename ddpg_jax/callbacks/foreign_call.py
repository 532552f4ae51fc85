"""Python functions as a target of XLA's foreign function interface, which a compiled program calls by number.

A function runs in a thread of Python's own (host_threads), and the program is answered by a future.

JAX puts callbacks of its own into a program by their address, and so keeps no such program in its compilation cache.
The structures are those of `xla/ffi/api/c_api.h`, which comes with jaxlib; `ddpg_jax.native.interface.is_known` says
whether they are.
"""

import atexit
import ctypes
import functools
import itertools
import math
import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.callbacks import host_threads
from ddpg_jax.native.interface import SPOKEN
from ddpg_jax.types import Array

TARGET = "ddpg_jax_host"
METADATA_EXTENSION, INTERNAL = 1, 13  # XLA_FFI_Extension_Metadata, XLA_FFI_Error_Code_INTERNAL
MOST_VIEWS = 64
THREAD = threading.local()


class Function(NamedTuple):
    """What a number stands for.

    Attributes:
        call: `call(outputs, *inputs)`.
        outputs: shapes and dtypes.
        inputs: shapes and dtypes.
        views: arrays on memory that XLA used before, by position and address; it uses the same again and again.
    """

    call: Callable[..., None]
    outputs: Sequence[jax.ShapeDtypeStruct]
    inputs: Sequence[jax.ShapeDtypeStruct]
    views: dict[tuple[int, int], np.ndarray]


class Call(NamedTuple):
    """A call that a program waits for.

    Attributes:
        function: what is called.
        outputs: arrays that it writes.
        inputs: arrays that it reads.
        api: address of XLA's interface.
        future: address of what is completed when it is done.
    """

    function: Function
    outputs: Sequence[np.ndarray]
    inputs: Sequence[np.ndarray]
    api: int
    future: int


CALLS: queue.SimpleQueue[Call] = queue.SimpleQueue()
IDLE: list[None] = []  # an entry for each thread that waits for a call
BUSY: list[None] = []  # and one for each that does not
ENDED = threading.Event()
FUNCTIONS: dict[int, Function] = {}
NUMBERS = itertools.count()


def size_fields(*names: str) -> list[tuple[str, Any]]:
    """Fields of a machine word each: sizes and addresses."""
    return [(name, ctypes.c_size_t) for name in names]


FUNCTION = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


class Extension(ctypes.Structure):
    """XLA_FFI_Metadata_Extension: XLA asks a target which version of the interface it speaks."""

    _fields_ = [*size_fields("struct_size"), ("type", ctypes.c_int), *size_fields("next", "metadata")]


class Metadata(ctypes.Structure):
    """The beginning of XLA_FFI_Metadata."""

    _fields_ = [
        *size_fields("struct_size", "version_struct_size", "version_extension"),
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
    ]


class Frame(ctypes.Structure):
    """XLA_FFI_CallFrame, with the structures in it laid out flat."""

    _fields_ = [
        *size_fields("struct_size", "extension", "api", "context", "stage"),
        *size_fields("args_struct_size", "args_extension", "num_args", "arg_types", "args"),
        *size_fields("rets_struct_size", "rets_extension", "num_rets", "ret_types", "rets"),
        *size_fields("attrs_struct_size", "attrs_extension", "num_attrs", "attr_types", "attr_names", "attrs"),
        *size_fields("future"),
    ]


class Buffer(ctypes.Structure):
    """The beginning of XLA_FFI_Buffer."""

    _fields_ = size_fields("struct_size", "extension", "dtype", "data")


class Scalar(ctypes.Structure):
    """XLA_FFI_Scalar."""

    _fields_ = size_fields("dtype", "value")


class Api(ctypes.Structure):
    """The beginning of XLA_FFI_Api."""

    _fields_ = [
        *size_fields("struct_size", "extension", "version_struct_size", "version_extension", "version", "internal"),
        ("create_error", FUNCTION),
        *size_fields("get_message", "destroy_error", "register_handler", "get_stream", "register_type", "get_context"),
        *size_fields("set_state", "get_state", "allocate_memory", "free_memory", "schedule", "count_threads"),
        *((name, FUNCTION) for name in ("create_future", "set_available", "set_error")),
    ]


class Future(ctypes.Structure):
    """XLA_FFI_Future_Create_Args, XLA_FFI_Future_SetAvailable_Args and, with an error, XLA_FFI_Future_SetError_Args."""

    _fields_ = size_fields("struct_size", "extension", "future", "error")


class Error(ctypes.Structure):
    """XLA_FFI_Error_Create_Args."""

    _fields_ = [*size_fields("struct_size", "extension"), ("message", ctypes.c_char_p), ("code", ctypes.c_int)]


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def handle_call(address: int) -> int | None:
    """What XLA calls, with a call frame; None is success."""
    keep_thread_state()
    frame = Frame.from_address(address)
    try:
        if frame.extension and Extension.from_address(frame.extension).type == METADATA_EXTENSION:
            report_version(Extension.from_address(frame.extension).metadata)
            return None
        attribute = ctypes.c_size_t.from_address(frame.attrs).value
        number = ctypes.c_int64.from_address(Scalar.from_address(attribute).value).value
        if number not in FUNCTIONS:
            raise LookupError("the environment of this program is gone; keep it as long as the program")
        if ENDED.is_set():
            raise RuntimeError("the process ends")
        function = FUNCTIONS[number]
        outputs = arrays(function.views, function.outputs, frame.rets, 0)
        inputs = arrays(function.views, function.inputs, frame.args, len(outputs))
        future = Future(ctypes.sizeof(Future))
        if error := Api.from_address(frame.api).create_future(ctypes.addressof(future)):
            return error
        frame.future = future.future
        CALLS.put(Call(function, outputs, inputs, frame.api, future.future))
    except BaseException as error:
        return fail(frame.api, error)
    return None


def serve() -> None:
    """Answer calls, one after the other; where no other thread waits for them meanwhile, there will be one more."""
    while True:
        IDLE.append(None)
        call = CALLS.get()
        BUSY.append(None)
        IDLE.pop()
        if not IDLE:
            host_threads.start(serve)
        run_call(call)
        BUSY.pop()


def run_call(call: Call) -> None:
    """Call the function; the program then goes on in this thread until it waits again."""
    future = Future(ctypes.sizeof(Future), 0, call.future)
    api = Api.from_address(call.api)
    complete = api.set_available
    try:
        with host_threads.default_mode():
            call.function.call(call.outputs, *call.inputs)
    except BaseException as error:
        future.error, complete = fail(call.api, error), api.set_error
    complete(ctypes.addressof(future))


def end_calls() -> int:
    """From now on calls fail, and programs with them; how many are still under way."""
    ENDED.set()
    return len(BUSY) + CALLS.qsize()


def arrays(
    views: dict[tuple[int, int], np.ndarray], structs: Sequence[jax.ShapeDtypeStruct], buffers: int, first: int
) -> list[np.ndarray]:
    """XLA's buffers as arrays, without copies.

    Args:
        views: where arrays are kept.
        structs: shapes and dtypes.
        buffers: address of an array of addresses of buffers.
        first: position of the first of them.
    """
    found = []
    for index, buffer in enumerate((ctypes.c_size_t * len(structs)).from_address(buffers)[:]):
        key = first + index, Buffer.from_address(buffer).data
        array = views.get(key)
        if array is None:
            if len(views) >= MOST_VIEWS:
                views.clear()
            array = views[key] = view(structs[index], key[1])
        found.append(array)
    return found


def view(struct: jax.ShapeDtypeStruct, address: int) -> np.ndarray:
    """An array on memory that is not NumPy's."""
    size = math.prod(struct.shape) * struct.dtype.itemsize
    return np.ndarray(struct.shape, struct.dtype, (ctypes.c_char * size).from_address(address))


def report_version(address: int) -> None:
    """Tell XLA which version is spoken here."""
    metadata = Metadata.from_address(address)
    metadata.major, metadata.minor = SPOKEN


def fail(api: int, error: BaseException) -> int:
    """An exception as an error of XLA's, by the address of its interface."""
    ffi_error = Error(ctypes.sizeof(Error), 0, describe_failure(error), INTERNAL)
    return Api.from_address(api).create_error(ctypes.addressof(ffi_error))


def describe_failure(error: BaseException) -> bytes:
    """An exception in a text that can be encoded, whatever its own is."""
    try:
        text = str(error)
    except BaseException as another:
        text = f"(its text cannot be read: {type(another).__name__})"
    return f"{type(error).__name__}: {text}".encode(errors="backslashreplace")


def keep_thread_state() -> None:
    """Keep the calling thread's Python state from being destroyed when the call returns.

    A thread of XLA's gets a new state at each call and loses it after: 50 microseconds, more than most
    environments' step. Entered once more than it is left, it stays (benchmarks/NOTES.md).
    """
    if not hasattr(THREAD, "kept"):
        ctypes.pythonapi.PyGILState_Ensure()
        THREAD.kept = True


@functools.cache
def register() -> None:
    """Make the target known to XLA and start the first thread that answers calls, once."""
    pointer = ctypes.cast(handle_call, ctypes.c_void_p).value
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(pointer), platform="cpu")
    atexit.register(host_threads.wait_for, end_calls)
    host_threads.start(serve)


def make_foreign_call(
    function: Callable[..., None], outputs: Sequence[jax.ShapeDtypeStruct], inputs: Sequence[jax.ShapeDtypeStruct]
) -> Callable[..., Sequence[Array]]:
    """Build the call of a function from traced programs, on buffers of XLA's own; see `make_host_call`.

    Its number is never another's: a program that outlives the call fails, and calls nothing else.
    """
    register()
    number = next(NUMBERS)
    FUNCTIONS[number] = Function(function, outputs, inputs, {})

    def call(*arguments: Array) -> Sequence[Array]:
        check_arguments(inputs, arguments)
        return jax.ffi.ffi_call(TARGET, outputs, has_side_effect=True)(*arguments, number=np.int64(number))

    weakref.finalize(call, FUNCTIONS.pop, number).atexit = False
    return call


def check_arguments(inputs: Sequence[jax.ShapeDtypeStruct], arguments: Sequence[Array]) -> None:
    """Raise TypeError if what is handed over has other shapes or dtypes than was said, and so another size."""
    said, given = ([(leaf.shape, leaf.dtype) for leaf in leaves] for leaves in (inputs, arguments))
    if said != given:
        raise TypeError(f"the call was built for {said}, and is given {given}")

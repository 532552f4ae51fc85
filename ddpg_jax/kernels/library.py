"""The compiled kernels: which fit this machine, and their names in XLA."""

import ctypes
import functools
import importlib.util

import jax

from ddpg_jax.ffi import is_known

# Built from the same sources for different instructions, the widest first; each is missing where it did not compile.
BUILDS = ("ddpg_jax.kernels.avx512", "ddpg_jax.kernels.avx2")
TARGETS = (
    "ddpg_jax_mlp_forward",
    "ddpg_jax_mlp_backward",
    "ddpg_jax_mlp_gradients",
    "ddpg_jax_squares",
    "ddpg_jax_adam",
    "ddpg_jax_follow",
    "ddpg_jax_errand_begin",
    "ddpg_jax_errand_end",
)


@functools.cache
def load() -> ctypes.CDLL | None:
    """The kernels for this processor and this XLA, made known to it, once; None if there are none."""
    built = [spec.origin for name in BUILDS if (spec := importlib.util.find_spec(name)) and spec.origin]
    libraries = [ctypes.CDLL(path) for path in built] if is_known() else []
    library = next((library for library in libraries if library.ddpg_jax_supported()), None)
    for target in TARGETS if library else ():
        address = ctypes.cast(getattr(library, target), ctypes.c_void_p).value
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(address), platform="cpu")
    return library


def are_usable() -> bool:
    """Whether programs of this process can call the kernels: on CPU, where they were compiled for it."""
    return jax.default_backend() == "cpu" and load() is not None

"""The compiled kernels: which fit this machine, and their names in XLA."""

import contextlib
import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import jax

from ddpg_jax.native.interface import KNOWN_JAX, NEWEST, SPOKEN, installed, is_known, written

# Built from the same sources for different instructions, the widest first; each is missing where it did not compile.
BUILDS = ("amx", "avx512", "avx2")
# Of the environment; "0" turns off all that is compiled here.
SWITCH = "DDPG_JAX_NATIVE"
# What a person loses whose XLA is not known here.
LOST = (
    "updates take longer with XLA's own kernels, calls of Gymnasium are slower, and programs with these are compiled "
    f"anew at each start; {KNOWN_JAX}"
)
TARGETS = (
    "ddpg_jax_mlp_forward",
    "ddpg_jax_mlp_backward",
    "ddpg_jax_norm",
    "ddpg_jax_adam",
    "ddpg_jax_follow",
    "ddpg_jax_call",
    "ddpg_jax_call_begin",
    "ddpg_jax_call_end",
)


class Library(NamedTuple):
    """Kernels in this process.

    Attributes:
        name: of the build.
        functions: what it holds, by name.
    """

    name: str
    functions: ctypes.CDLL


@functools.cache
def load() -> Library | None:
    """The kernels for this processor and this XLA, made known to it, once; None if there are none."""
    if is_wanted() and not is_known():
        warnings.warn(f"{unknown_interface()}; {LOST}", stacklevel=2)
    found = map(open_build, BUILDS) if is_wanted() and is_known() else ()
    library = next((library for library in found if library and library.functions.ddpg_jax_supported()), None)
    if library is None:
        return None
    for target in TARGETS:
        address = ctypes.cast(getattr(library.functions, target), ctypes.c_void_p).value
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(address), platform="cpu")
    library.functions.ddpg_jax_next_call.restype = ctypes.c_int64
    return library


def is_wanted() -> bool:
    """Whether C may be used in this process at all, also for calls of Python: unless DDPG_JAX_NATIVE is 0."""
    return os.environ.get(SWITCH) != "0"


def open_build(name: str) -> Library | None:
    """One build, or None where it was not compiled or cannot be loaded."""
    spec = importlib.util.find_spec(f"ddpg_jax.native.{name}")
    if not spec or not spec.origin:
        return None
    with contextlib.suppress(OSError):
        return Library(name, ctypes.CDLL(spec.origin))
    return None


def are_usable() -> bool:
    """Whether programs of this process can call the kernels: on CPU, where they were compiled for it."""
    return jax.default_backend() == "cpu" and load() is not None


def name() -> str:
    """The build whose kernels are used, or "xla"."""
    library = load() if are_usable() else None
    return library.name if library else "xla"


def why_not() -> str | None:
    """Why programs of this process do without the kernels, or None where they call them."""
    if are_usable():
        return None
    if not is_wanted():
        return f"{SWITCH}=0 turns this package's off"
    if jax.default_backend() != "cpu":
        return f"this package's are for CPUs, and programs run on {jax.default_backend()}"
    if not is_known():
        return unknown_interface()
    compiled = [name for name in BUILDS if open_build(name)]
    if not compiled:
        folder = Path(__file__).parent
        return f"none of this package's can be loaded from {folder} (in a clone, pip install -e . compiles them there)"
    return f"this processor lacks the instructions of this package's ({', '.join(compiled)})"


def unknown_interface() -> str:
    """Which version of XLA's interface is installed, and which are known here."""
    jaxlib, found = importlib.metadata.version("jaxlib"), written(installed())
    known = f"{written(SPOKEN)} to {written(NEWEST)}"
    return f"jaxlib {jaxlib} has version {found} of XLA's foreign function interface, and this package knows {known}"

"""Which version of XLA's foreign function interface this package speaks, and whether the installed XLA knows it."""

import functools
import re
from pathlib import Path

import jax

# What `ffi.h` and callbacks/foreign_call.py declare. Every version up to the newest has these structures, some of them
# longer; a test compares each field with the header of the installed jaxlib.
SPOKEN, NEWEST = (0, 3), (0, 5)
# The versions of jax that speak these, as pyproject.toml has them.
KNOWN_JAX = "pip install 'jax>=0.10,<0.13'"
HEADER = "xla/ffi/api/c_api.h"


@functools.cache
def installed() -> tuple[int, ...]:
    """The version of the installed XLA, as the header that comes with it says; empty where it does not."""
    header = Path(jax.ffi.include_dir(), HEADER)
    text = header.read_text() if header.exists() else ""
    found = [re.search(rf"#define XLA_FFI_API_{name} (\d+)", text) for name in ("MAJOR", "MINOR")]
    return tuple(int(match[1]) for match in found if match)


def is_known() -> bool:
    """Whether the installed XLA has the structures that are spoken here."""
    return SPOKEN <= installed() <= NEWEST


def written(version: tuple[int, ...]) -> str:
    """A version as a person writes it."""
    return ".".join(map(str, version)) or "unknown"

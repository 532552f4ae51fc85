"""Which version of XLA's foreign function interface this package speaks, and whether the installed XLA does, too."""

import functools
import re
from pathlib import Path

import jax

VERSION = (0, 3)
HEADER = "xla/ffi/api/c_api.h"


@functools.cache
def is_known() -> bool:
    """Whether the installed XLA speaks the version that is spoken here, as the header that comes with it says."""
    header = Path(jax.ffi.include_dir(), HEADER)
    text = header.read_text() if header.exists() else ""
    found = [re.search(rf"#define XLA_FFI_API_{name} (\d+)", text) for name in ("MAJOR", "MINOR")]
    return [int(match[1]) for match in found if match] == list(VERSION)

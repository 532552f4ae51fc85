"""Memory that a save took goes back to the system, where malloc is glibc's."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

# mallopt's names for: what is kept at the top of a heap, and from which size on a block is mapped by itself.
TRIM, MAP = -1, -3
# glibc itself begins at 128 KiB, and moves to as much as 32 MiB and twice that as large blocks are freed.
SMALL, LARGE = 2**15, 2**25
# By which a person chooses for themselves.
CHOICES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


@contextlib.contextmanager
def return_freed_blocks() -> Iterator[None]:
    """Within, blocks of 32 KiB and more are mapped by themselves, and gone once they are freed.

    They would otherwise stay in the heap of whichever thread held them: each save of an array in another one.
    Afterwards they stay, up to 32 MiB, since mapping them anew in every step would take time. Where the environment
    says what malloc shall do, nothing is changed.
    """
    set_limits(SMALL, SMALL)
    try:
        yield
    finally:
        set_limits(LARGE, 2 * LARGE)


def set_limits(mapped: int, kept: int) -> None:
    """Tell malloc, if it is one that can be told."""
    chosen = any(name in os.environ for name in CHOICES)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and not chosen:
        mallopt(MAP, mapped)
        mallopt(TRIM, kept)

"""Memory that a save took goes back to the system, where malloc is glibc's."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

# mallopt's names for: what is kept at the top of a heap, and from which size on a block is mapped by itself.
TRIM, MAP = -1, -3
# glibc itself begins at 128 KiB, and moves to as much as 32 MiB and twice that as large blocks are freed.
SMALL, LARGE = 2**15, 2**25


@contextlib.contextmanager
def blocks_go_back() -> Iterator[None]:
    """Within, blocks of 32 KiB and more are mapped by themselves, and gone once they are freed.

    They would otherwise stay in the heap of whichever thread held them: each save of an array in another one.
    Outside, they stay, since mapping them anew in every step would take time.
    """
    set_limits(SMALL, SMALL)
    try:
        yield
    finally:
        set_limits(LARGE, 2 * LARGE)


def set_limits(mapped: int, kept: int) -> None:
    """Tell malloc, if it is one that can be told."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(MAP, mapped)
        mallopt(TRIM, kept)

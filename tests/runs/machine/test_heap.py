"""What saving leaves behind in the process; its memory is measured by `benchmarks.durability.soak`."""

import ctypes
import sys

import jax
import jax.numpy as jnp
import pytest

from ddpg_jax.runs.machine import heap
from ddpg_jax.runs.storage import checkpoint


class Recorded:
    """A malloc that remembers what it was told."""

    def __init__(self):
        self.told = []

    def mallopt(self, name, value):
        self.told.append((name, value))


def failing_save(library):
    with heap.return_freed_blocks():
        assert dict(library.told) == {heap.MAP: 2**15, heap.TRIM: 2**15}
        raise OSError("full")


def test_limits_are_low_within_and_high_afterwards_whatever_happens(monkeypatch):
    library = Recorded()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    with pytest.raises(OSError, match="full"):
        failing_save(library)
    assert dict(library.told) == {heap.MAP: 2**25, heap.TRIM: 2**26}


def test_what_a_person_chose_for_malloc_stays(monkeypatch):
    library = Recorded()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    with heap.return_freed_blocks():
        assert library.told == []


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_another_malloc_is_left_alone(platform, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with heap.return_freed_blocks():
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_a_save_of_many_arrays_leaves_few_threads_behind(tmp_path):
    import psutil

    arrays = {f"array{number}": jnp.full(1000, number) for number in range(60)}
    before = psutil.Process().num_threads()
    for step in range(3):
        checkpoint.save(tmp_path, step, arrays, b"", {}, keep=1)
    assert psutil.Process().num_threads() - before <= 10, "Orbax's own would be dozens"
    found = checkpoint.newest(tmp_path, print)
    like = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in arrays.items()}
    restored = checkpoint.restore(found, like)
    assert all((restored[name] == leaf).all() for name, leaf in arrays.items())

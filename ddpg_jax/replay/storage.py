"""How steps are stored, and the plain way: each transition whole in one row.

Rows are packed (`ddpg_jax.packing`) and lie in a ring. The other way, each observation once, is in compact.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.packing import Packing, Rows, make_packing, put_row
from ddpg_jax.replay.ring import Position, Ring, later_rows
from ddpg_jax.types import Array, EnvSpec, Transition, Tree, transition_struct


class StorageState(NamedTuple):
    """What is stored: rows `{dtype: [length, N, width]}`, and `finals` where the storage needs more than these."""

    rows: Rows
    finals: Tree = ()


class Storage(NamedTuple):
    """A way to store steps.

    Attributes:
        init: `init() -> StorageState`, allocating everything.
        write: `write(StorageState, row, Transition [N, ...]) -> StorageState`, O(1), in place when donated.
        read: `read(StorageState, Position [B], head, n) -> (windows [B, n, ...], missing [B])`: the steps from each
            position on, and which windows end where the true successor is stored no more.
        missing: `missing(StorageState, Position [B]) -> [B] bool`, whether the successor that a step is bootstrapped
            from is stored no more, so that nothing can be learned from a window that begins there.
        cut: `cut(StorageState, row, which [N]) -> StorageState`, the newest row of these environments marked as
            truncated.
    """

    init: Callable[[], StorageState]
    write: Callable[[StorageState, Array, Transition], StorageState]
    read: Callable[[StorageState, Position, Array, int], tuple[Transition, Array]]
    missing: Callable[[StorageState, Position], Array]
    cut: Callable[[StorageState, Array, Array], StorageState]


def full_storage(spec: EnvSpec, ring: Ring) -> Storage:
    """Each transition whole in a row."""
    packing, length = make_packing(transition_struct(spec)), np.int32(ring.length)

    def init() -> StorageState:
        return StorageState(empty_rows(packing, ring))

    def write(stored: StorageState, row: Array, transition: Transition) -> StorageState:
        return StorageState(put_row(stored.rows, row, packing.pack(transition)))

    def read(stored: StorageState, position: Position, head: Array, window: int) -> tuple[Transition, Array]:
        rows = later_rows(position.row[:, None], jnp.arange(window, dtype=jnp.int32), length)
        steps = packing.unpack(gather(stored.rows, rows, position.env[:, None]))
        return steps, none_missing(stored, position)

    def none_missing(stored: StorageState, position: Position) -> Array:
        return jnp.zeros(position.row.shape, jnp.bool_)

    def cut(stored: StorageState, row: Array, which: Array) -> StorageState:
        step: Transition = packing.unpack(get_row(stored.rows, row))
        truncated = step._replace(truncated=step.truncated | which)
        return StorageState(put_row(stored.rows, row, packing.pack(truncated)))

    return Storage(init, write, read, none_missing, cut)


def empty_rows(packing: Packing, ring: Ring) -> Rows:
    """Rows of zeros, `{dtype: [length, N, width]}`."""
    return {dtype: jnp.zeros((*ring, width), dtype) for dtype, width in packing.widths.items()}


def gather(rows: Rows, row: Array, env: Array) -> Rows:
    """The rows at these positions, one gather for each dtype."""
    # No row is below 0, which XLA does not know; of no rows at all the sum is 0.
    zero = jnp.minimum(row.ravel()[:1].sum(dtype=jnp.int32), 0)
    return {dtype: in_one_thread(rows[dtype][row, env], zero) for dtype in rows}


@jax.custom_batching.custom_vmap
def in_one_thread(gathered: Array, zero: Array) -> Array:
    """The same array, read by one thread on CPU.

    XLA shares a gather among threads by the size of the whole memory, and to wake one takes longer than to read a batch
    (benchmarks/NOTES.md). It shares nothing that is written into a larger array at a row which it does not know.

    Args:
        gathered: `[B, ...]`.
        zero: a scalar that is 0, of which XLA does not know it.
    """
    larger = jnp.broadcast_to(zero.astype(gathered.dtype), (gathered.shape[0] + 1, *gathered.shape[1:]))
    return jax.lax.dynamic_update_slice_in_dim(larger, gathered, zero, 0)[: gathered.shape[0]]


@in_one_thread.def_vmap
def in_one_thread_of_all(size: int, is_batched: list[bool], gathered: Array, zero: Array) -> tuple[Array, bool]:
    """Under `vmap` all batches are one array; JAX itself would write each by a scatter, of more kernels."""
    return in_one_thread(gathered, zero.ravel()[0]), True


def get_row(rows: Rows, row: Array) -> Rows:
    """One row of all environments."""
    return {dtype: rows[dtype][row] for dtype in rows}

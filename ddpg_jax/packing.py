"""Transitions as flat rows, one array for each dtype.

A replay buffer kept as a tree of arrays is copied by XLA inside the compiled loop; packed into one
`[capacity, N, width]` array for each dtype, adding is one write and sampling is one gather.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.types import Array, Tree, float_dtype

Rows = dict[str, Array]


class Packing(NamedTuple):
    """Two inverse functions and the layout of a row.

    Attributes:
        pack: tree of `[..., *shape]` leaves to `{dtype: [..., width]}`.
        unpack: the inverse.
        widths: elements of a row for each dtype, `{dtype: width}`.
    """

    pack: Callable[[Tree], Rows]
    unpack: Callable[[Rows], Tree]
    widths: dict[str, int]


class Slot(NamedTuple):
    """Where a leaf lies in the row of its dtype."""

    dtype: str
    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        """End of the leaf in the row."""
        return self.start + math.prod(self.shape)


def stored_dtype(dtype: Any) -> str:
    """Name of the dtype that a leaf is stored in; flags lie beside the rewards, to save a gather of their own."""
    return float_dtype().name if jnp.issubdtype(dtype, jnp.bool_) else jnp.dtype(dtype).name


def make_packing(example: Tree) -> Packing:
    """Lay out the leaves of one transition in rows.

    Args:
        example: tree of `jax.ShapeDtypeStruct`, without leading dimensions.
    """
    leaves: list[Any]
    structure: Any
    leaves, structure = jax.tree.flatten(example)
    widths: dict[str, int] = {}
    slots = []
    for leaf in leaves:
        dtype = stored_dtype(leaf.dtype)
        slots.append(Slot(dtype, widths.get(dtype, 0), tuple(leaf.shape)))
        widths[dtype] = slots[-1].stop

    def pack(tree: Tree) -> Rows:
        columns: dict[str, list[Any]] = {dtype: [] for dtype in widths}
        for leaf, slot in zip(structure.flatten_up_to(tree), slots, strict=True):
            batch_shape = leaf.shape[: leaf.ndim - len(slot.shape)]
            columns[slot.dtype].append(leaf.astype(slot.dtype).reshape(*batch_shape, -1))
        return {dtype: jnp.concatenate(parts, axis=-1) for dtype, parts in columns.items()}

    def unpack(rows: Rows) -> Tree:
        parts = []
        for leaf, slot in zip(leaves, slots, strict=True):
            row = rows[slot.dtype]
            part = row[..., slot.start : slot.stop].reshape(*row.shape[:-1], *slot.shape)
            parts.append(part.astype(leaf.dtype))
        return structure.unflatten(parts)

    return Packing(pack, unpack, widths)


def put_row(rows: Rows, index: Array, row: Rows) -> Rows:
    """Write a row in its place, in `[0, length)`: one write for each dtype, in place when donated.

    JAX's own `at[index].set` asks first whether the index is negative, and whether it is there.
    """

    def put(column: Array, value: Array) -> Array:
        return jax.lax.dynamic_update_index_in_dim(column, value, index, 0, allow_negative_indices=False)

    return jax.tree.map(put, rows, row)

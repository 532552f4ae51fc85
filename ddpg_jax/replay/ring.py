"""Positions in a ring of rows, each row one step of N environments."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.types import Array


class Ring(NamedTuple):
    """How large a memory is: `length` rows of `num_envs` environments N each."""

    length: int
    num_envs: int


class Position(NamedTuple):
    """Where steps lie: row of the ring and environment, both int32 `[B]`."""

    row: Array
    env: Array


def later_rows(row: Array, steps: Array, length: Array | np.int32) -> Array:
    """(row + steps) mod length, of rows in a ring; no sum goes beyond int32, whatever the length."""
    wrapped = row - (length - jax.lax.rem(steps, length))
    return jnp.where(wrapped < 0, wrapped + length, wrapped)


def steps_to_head(row: Array, head: Array, length: Array | np.int32) -> Array:
    """Steps from a row of a ring to the newest one before the write head, that one included; within int32."""
    return jnp.where(row < head, head - row, length - (row - head))


def newest_row(head: Array, length: Array | np.int32) -> Array:
    """The row before the write head."""
    return jnp.where(head > 0, head, length) - 1

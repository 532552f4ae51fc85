"""A tree of sums over the rows' priorities: rows are set and found in O(log n), many at a time.

Level 0 holds the priorities, each level above it the sums over groups of 8 of the level below, all of them
flat arrays. On CPU, 8 children beat 16 by 1.7 and two by 2.2, and XLA copies none of the levels in a compiled
loop (benchmarks/NOTES.md).
"""

import jax.numpy as jnp

from ddpg_jax.types import Array, float_dtype

BRANCHING = 8

SumTree = tuple[Array, ...]


def empty_tree(num_leaves: int) -> SumTree:
    """A tree of zeros; levels are rounded up to whole groups, and the last one is a single group."""
    levels: list[Array] = []
    size = num_leaves
    while not levels or levels[-1].size > BRANCHING:
        groups = -(-size // BRANCHING)
        levels.append(jnp.zeros(groups * BRANCHING, float_dtype()))
        size = groups
    return tuple(levels)


def set_leaves(tree: SumTree, indices: Array, values: Array) -> SumTree:
    """Set leaves, and sum anew above them; of values for the same leaf the largest counts.

    Args:
        tree: its levels.
        indices: of leaves, int32 `[K]`.
        values: not negative, `[K]`.
    """
    # Which of several writes to one place comes last is open; a maximum over nothing old is not.
    level = tree[0].at[indices].set(0).at[indices].max(values)
    levels = [level]
    for above in tree[1:]:
        indices = indices // BRANCHING
        level = above.at[indices].set(level.reshape(-1, BRANCHING)[indices].sum(axis=1))
        levels.append(level)
    return tuple(levels)


def find_leaves(tree: SumTree, mass: Array) -> tuple[Array, Array]:
    """The leaves at which the running sum over all leaves passes each mass.

    A leaf of value zero is never found, whatever the rounding, as long as one is positive.

    Args:
        tree: its levels.
        mass: in [0, sum of all leaves], `[B]`.

    Returns:
        Indices of leaves, int32 `[B]`, and their values, `[B]`: to read those again, XLA would copy the level.
    """
    node, value = jnp.zeros(mass.shape, jnp.int32), mass
    for level in reversed(tree):
        child, mass, value = choose(list(level.reshape(-1, BRANCHING)[node].T), mass)
        node = node * BRANCHING + child
    return node, value


def choose(children: list[Array], mass: Array) -> tuple[Array, Array, Array]:
    """The child at which the running sum over its group passes the mass; what is left of the mass there; its value.

    It is the last positive one that begins at or below the mass; the first positive one begins at exactly 0. Written
    out over vectors `[B]`, since XLA makes more and slower kernels of running sums (benchmarks/NOTES.md).
    """
    child, begin = jnp.zeros(mass.shape, jnp.int32), jnp.zeros_like(mass)
    value = before = children[0]
    for number, here in enumerate(children[1:], 1):
        fits = (here > 0) & (before <= mass)
        child = jnp.where(fits, number, child)
        begin = jnp.where(fits, before, begin)
        value = jnp.where(fits, here, value)
        before = before + here
    return child, mass - begin, value


def sum_leaves(tree: SumTree) -> Array:
    """The sum of all leaves."""
    return tree[-1].sum()

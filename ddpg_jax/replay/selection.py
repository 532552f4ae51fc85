"""Which rows are drawn: all alike, or in proportion to a priority."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.config import ReplayConfig
from ddpg_jax.replay.ring import Ring
from ddpg_jax.replay.sum_tree import SumTree, empty_tree, find_leaves, set_leaves, sum_leaves
from ddpg_jax.types import Array, Key, Tree, float_dtype

# What was learned from before a step is added, where nothing was.
NO_ROWS, NONE_INVALID = np.zeros(0, np.int32), np.zeros((), bool)
# Added to each |TD error|, so that every row can be drawn.
SMALLEST_ERROR = 1e-6


class Draw(NamedTuple):
    """Rows that were drawn, flat over `[length, N]`, int32 `[B]`, and their priorities to the power alpha, `[B]`."""

    indices: Array
    power: Array


class Selector(NamedTuple):
    """A way to choose rows.

    Attributes:
        init: `init() -> state`.
        add: `add(state, row, indices=[], td_error=[], invalid=False) -> state`, a step of the N environments was
            written to this row, after these rows were learned from, or found to be invalid.
        draw: `draw(key, state, size) -> Draw`, from the first `size` rows of the ring.
        weights: `weights(state, power [B], invalid [B]) -> weight [B]`, of the rows that were drawn; 0 for the invalid.
        reprioritize: `reprioritize(state, indices [K], td_error [K], invalid=False [K]) -> state`.
    """

    init: Callable[[], Tree]
    add: Callable[..., Tree]
    draw: Callable[[Key, Tree, Array], Draw]
    weights: Callable[[Tree, Array, Array], Array]
    reprioritize: Callable[[Tree, Array, Array, Array], Tree]


class Priorities(NamedTuple):
    """State of the proportional selector.

    Attributes:
        tree: sums over the rows' p^alpha, zero where no step was written yet.
        largest: the largest p^alpha so far, scalar.
        steps: environment steps added, int32 scalar; stays at its largest value once there.
    """

    tree: SumTree
    largest: Array
    steps: Array


def uniform_selector(config: ReplayConfig, ring: Ring) -> Selector:
    """Every row equally likely, with replacement; all weights are one, but of rows that are invalid."""
    n = np.int32(ring.num_envs)

    def draw(key: Key, state: Tree, size: Array) -> Draw:
        # One draw of 32 bits modulo the size: no row is likelier than another by more than size / 2^32.
        bits = jax.random.bits(key, (config.batch_size,), jnp.uint32)
        indices = (bits % (size * n).astype(jnp.uint32)).astype(jnp.int32)
        # All are 1. A constant would be ready before any row is drawn, as a ninth kernel; of more than eight that are
        # ready XLA gives some to another thread.
        return Draw(indices, (indices >= 0).astype(float_dtype()))

    return Selector(
        init=lambda: (),
        add=lambda state, *row: state,
        draw=draw,
        weights=lambda state, power, invalid: jnp.where(invalid, 0, power),
        reprioritize=lambda state, *reprioritized: state,
    )


def proportional_selector(config: ReplayConfig, ring: Ring) -> Selector:
    """Rows drawn in proportion to their priority, with weights that take part of that bias back.

    P(i) = p_i^alpha / sum_k p_k^alpha,  p_i = |td_error_i| + 1e-6
    w_i = (size P(i))^-beta / max_j (size P(j))^-beta = (min_j p_j^alpha / p_i^alpha)^beta, over the rows j of the batch

    The sum is divided in B equal parts, and one row is drawn from each. A new row has the largest priority so far,
    and so has one whose error is not finite. A row that is invalid has no priority once it was drawn, and is not drawn
    again; it counts in no weight of another. beta rises linearly with the environment steps added, from
    `importance_exponent` to 1 after `importance_steps`.

    Source: Schaul et al. (2016), sections 3.3 and 3.4, algorithm 1, and appendix B.2.1.
    """
    capacity, n, dtype = ring.length * ring.num_envs, np.int32(ring.num_envs), float_dtype()
    # Powers that can all be drawn, and whose sum is finite.
    lowest, highest = jnp.finfo(dtype).tiny, jnp.finfo(dtype).max / (2.0 * capacity)
    rise = (1 - config.importance_exponent) / config.importance_steps if config.importance_steps else 0.0

    def init() -> Priorities:
        return Priorities(empty_tree(capacity), jnp.ones((), dtype), jnp.int32(0))

    def to_powers(state: Priorities, td_error: Array, invalid: Array) -> tuple[Array, Array]:
        finite = jnp.isfinite(td_error)
        powers = ((jnp.abs(td_error) + SMALLEST_ERROR) ** config.priority_exponent).clip(lowest, highest).astype(dtype)
        largest = jnp.maximum(state.largest, jnp.max(powers, where=finite & ~invalid, initial=0))
        return jnp.where(invalid, 0, jnp.where(finite, powers, largest)), largest

    # JAX keeps constants: one of 64 bits must not be that of a selector of 32.
    no_errors = np.zeros(0, dtype)

    def add(
        state: Priorities, row: Array, indices: Any = NO_ROWS, td_error: Any = no_errors, invalid: Any = NONE_INVALID
    ) -> Priorities:
        powers, largest = to_powers(state, td_error, invalid)
        new = row * n + jnp.arange(ring.num_envs, dtype=jnp.int32)
        # Both in one pass: between two, XLA would copy the levels. A new row has the largest power, also where it takes
        # the place of one that was learned from.
        where = jnp.concatenate([indices, new])
        tree = set_leaves(state.tree, where, jnp.concatenate([powers, jnp.broadcast_to(largest, new.shape)]))
        steps = jnp.minimum(state.steps, jnp.iinfo(jnp.int32).max - n) + n
        return Priorities(tree, largest, steps)

    def draw(key: Key, state: Priorities, size: Array) -> Draw:
        uniform = jax.random.uniform(key, (config.batch_size,), dtype)
        parts = jnp.arange(config.batch_size, dtype=dtype)
        mass = (parts + uniform) / config.batch_size * sum_leaves(state.tree)
        return Draw(*find_leaves(state.tree, mass))

    def weights(state: Priorities, power: Array, invalid: Array) -> Array:
        beta = jnp.minimum(config.importance_exponent + rise * state.steps.astype(dtype), 1)
        rarest = jnp.min(power, where=~invalid, initial=jnp.inf)
        return jnp.where(invalid, 0, (rarest / power) ** beta)

    def reprioritize(state: Priorities, indices: Array, td_error: Array, invalid: Any = NONE_INVALID) -> Priorities:
        powers, largest = to_powers(state, td_error, invalid)
        return Priorities(set_leaves(state.tree, indices, powers), largest, state.steps)

    return Selector(init, add, draw, weights, reprioritize)

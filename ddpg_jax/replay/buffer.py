"""The memory: a ring of packed rows on the device, and batches drawn from it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.config import ConfigError, ReplayConfig, validate
from ddpg_jax.packing import Rows, make_packing
from ddpg_jax.replay.n_step import fold
from ddpg_jax.types import Array, Batch, EnvSpec, Key, Transition, transition_struct


class ReplayState(NamedTuple):
    """The stored rows.

    Attributes:
        rows: packed transitions, `{dtype: [length, N, width]}`.
        head: row that the next step is written to, int32 scalar.
        size: rows filled so far, int32 scalar.
    """

    rows: Rows
    head: Array
    size: Array


class Sample(NamedTuple):
    """A batch and where its rows start, flat over `[length, N]`, int32 `[B]`."""

    batch: Batch
    indices: Array


class Replay(NamedTuple):
    """A memory.

    Attributes:
        init: `init() -> ReplayState`, allocating everything.
        add: `add(ReplayState, Transition [N, ...]) -> ReplayState`, O(1), in place when donated.
        sample: `sample(key, ReplayState) -> Sample`; at least one step must have been added.
        reprioritize: `reprioritize(ReplayState, indices [B], td_error [B]) -> ReplayState`.
        cut: `cut(ReplayState, which [N] bool) -> ReplayState`, the newest step of these environments marked as
            truncated, so that no window crosses into what is added next; O(1), in place when donated.
        num_bytes: size of all that `init` allocates.
    """

    init: Callable[[], ReplayState]
    add: Callable[[ReplayState, Transition], ReplayState]
    sample: Callable[[Key, ReplayState], Sample]
    reprioritize: Callable[[ReplayState, Array, Array], ReplayState]
    cut: Callable[[ReplayState, Array], ReplayState]
    num_bytes: int


def uniform_replay(spec: EnvSpec, config: ReplayConfig = ReplayConfig(), num_envs: int = 1) -> Replay:  # noqa: B008
    """A ring buffer sampled uniformly with replacement, each of its steps equally likely.

    Args:
        spec: the environment's spaces.
        config: capacity (rounded down to a multiple of `num_envs`), batch size, discount and n_step.
        num_envs: environments N whose steps are added together.

    Raises:
        ConfigError: naming every setting that cannot be used.

    Source: Lin (1992); Mnih et al. (2015).
    """
    validate(config)
    packing = make_packing(transition_struct(spec))
    if not 1 <= num_envs <= config.capacity:
        raise ConfigError(f"num_envs = {num_envs} must be in [1, capacity = {config.capacity}]")
    length, n = jnp.int32(config.capacity // num_envs), jnp.int32(num_envs)
    shapes = {
        dtype: jax.ShapeDtypeStruct((config.capacity // num_envs, num_envs, width), dtype)
        for dtype, width in packing.widths.items()
    }

    def init() -> ReplayState:
        rows = {dtype: jnp.zeros(shape.shape, shape.dtype) for dtype, shape in shapes.items()}
        return ReplayState(rows, jnp.int32(0), jnp.int32(0))

    def write(rows: Rows, index: Array, transition: Transition) -> Rows:
        step = packing.pack(transition)
        return {dtype: rows[dtype].at[index].set(step[dtype]) for dtype in shapes}

    def add(state: ReplayState, transition: Transition) -> ReplayState:
        rows = write(state.rows, state.head, transition)
        return ReplayState(rows, jax.lax.rem(state.head + 1, length), jnp.minimum(state.size, length - 1) + 1)

    def sample(key: Key, state: ReplayState) -> Sample:
        # One draw of 32 bits modulo the size: no row is likelier than another by more than size / 2^32.
        bits = jax.random.bits(key, (config.batch_size,), jnp.uint32)
        indices = (bits % (state.size * n).astype(jnp.uint32)).astype(jnp.int32)
        row, env = jax.lax.div(indices, n), jax.lax.rem(indices, n)
        window = later_rows(row[:, None], jnp.arange(config.n_step, dtype=jnp.int32), length)
        transitions = packing.unpack({dtype: state.rows[dtype][window, env[:, None]] for dtype in shapes})
        return Sample(fold(transitions, steps_to_head(row, state.head, length), config.discount), indices)

    def reprioritize(state: ReplayState, indices: Array, td_error: Array) -> ReplayState:
        return state

    def cut(state: ReplayState, which: Array) -> ReplayState:
        newest = jnp.where(state.head > 0, state.head, length) - 1
        step = packing.unpack({dtype: state.rows[dtype][newest] for dtype in shapes})
        # An empty memory has no newest step.
        step = step._replace(truncated=step.truncated | (which & (state.size > 0)))
        return state._replace(rows=write(state.rows, newest, step))

    num_bytes = sum(math.prod(shape.shape) * shape.dtype.itemsize for shape in shapes.values())
    return Replay(init, add, sample, reprioritize, cut, num_bytes)


def later_rows(row: Array, steps: Array, length: Array) -> Array:
    """(row + steps) mod length, of rows in a ring; no sum goes beyond int32, whatever the length."""
    beyond = row - (length - jax.lax.rem(steps, length))
    return jnp.where(beyond < 0, beyond + length, beyond)


def steps_to_head(row: Array, head: Array, length: Array) -> Array:
    """Steps from a row of a ring to the newest one before the write head, that one included; within int32."""
    return jnp.where(row < head, head - row, length - (row - head))

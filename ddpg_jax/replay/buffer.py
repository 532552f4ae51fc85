"""The replay memory: a ring of rows on the device, and batches drawn from it.

A batch comes about in four steps (`sample`): choose rows, read the window of n steps from each, relabel them with other
goals, fold them into one transition each. How steps are stored (storage, compact), which rows are drawn (selection) and
how they are relabelled (hindsight) are values of one type each.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.config import ConfigError, ReplayConfig, validate
from ddpg_jax.packing import Rows
from ddpg_jax.replay.compact import compact_storage
from ddpg_jax.replay.hindsight import Relabelling, hindsight, identity_relabelling
from ddpg_jax.replay.n_step import clip_rewards, fold
from ddpg_jax.replay.ring import Position, Ring, newest_row, steps_to_head
from ddpg_jax.replay.selection import Selector, proportional_selector, uniform_selector
from ddpg_jax.replay.storage import Storage, StorageState, full_storage
from ddpg_jax.types import ACHIEVED, Array, Batch, EnvSpec, Key, Transition, Tree


class ReplayState(NamedTuple):
    """The stored steps, and what is known about them.

    Attributes:
        rows: packed steps, `{dtype: [length, N, width]}`.
        head: row that the next step is written to, int32 scalar.
        size: rows filled so far, int32 scalar.
        finals: compact storage only: the last observations of the episodes.
        priorities: prioritised only: the sum tree.
        episodes: hindsight only: where the episodes lie.
    """

    rows: Rows
    head: Array
    size: Array
    finals: Tree = ()
    priorities: Tree = ()
    episodes: Tree = ()


class Sample(NamedTuple):
    """What was drawn from a memory.

    Attributes:
        batch: rows that start a window of up to n steps, folded, leaves `[B, ...]`.
        indices: where these rows lie, flat over `[length, N]`, int32 `[B]`.
    """

    batch: Batch
    indices: Array


class Replay(NamedTuple):
    """A replay memory, as functions of a `ReplayState`.

    Attributes:
        init: `init() -> ReplayState`, allocating everything.
        add: `add(ReplayState, Transition [N, ...], indices=None, td_error=None) -> ReplayState`, O(1) or, prioritised,
            O(log capacity), in place when donated. Indices and TD errors `[K]`, if given, are those of `reprioritize`,
            which is done first, in the same pass.
        sample: `sample(key, ReplayState, reward_limit=None) -> Sample`, the reward of each step within `reward_limit`
            before n of them are folded; at least one step must have been added.
        reprioritize: `reprioritize(ReplayState, indices [K], td_error [K]) -> ReplayState`, for rows that were
            sampled. Those whose successor the compact storage has overwritten meanwhile are not drawn again.
        cut: `cut(ReplayState, which [N] bool) -> ReplayState`, the newest step of these environments marked as
            truncated, so that no window crosses into what is added next; O(1), in place when donated.
        num_bytes: size of all that `init` allocates.
    """

    init: Callable[[], ReplayState]
    add: Callable[..., ReplayState]
    sample: Callable[..., Sample]
    reprioritize: Callable[[ReplayState, Array, Array], ReplayState]
    cut: Callable[[ReplayState, Array], ReplayState]
    num_bytes: int


class Parts(NamedTuple):
    """What a memory is put together from, as the settings say."""

    config: ReplayConfig
    ring: Ring
    storage: Storage
    selector: Selector
    relabelling: Relabelling


def make_replay(spec: EnvSpec, config: ReplayConfig = ReplayConfig(), num_envs: int = 1) -> Replay:  # noqa: B008
    """A ring buffer; each of its rows starts a window of up to n steps, and can be drawn.

    Args:
        spec: the environment's spaces; for hindsight also its reward.
        config: capacity (rounded down to a multiple of `num_envs`), batch size, discount, n_step, and how steps are
            stored, drawn and relabelled.
        num_envs: environments N whose steps are added together.

    Raises:
        ConfigError: naming every setting that cannot be used.

    Source: Lin (1992); Mnih et al. (2015); Schaul et al. (2016); Andrychowicz et al. (2017).
    """
    validate(config)
    if not 1 <= num_envs <= config.capacity:
        raise ConfigError(f"num_envs = {num_envs} must be in [1, capacity = {config.capacity}]")
    ring = Ring(config.capacity // num_envs, num_envs)
    parts = Parts(
        config,
        ring,
        storage=compact_storage(spec, ring, config.hindsight != "none") if config.compact else full_storage(spec, ring),
        selector=(uniform_selector if config.sampling == "uniform" else proportional_selector)(config, ring),
        relabelling=(identity_relabelling if config.hindsight == "none" else hindsight)(spec, config, ring),
    )
    leaves = jax.tree.leaves(jax.eval_shape(partial(init, parts)))
    return Replay(
        init=partial(init, parts),
        add=partial(add, parts),
        sample=partial(sample, parts),
        reprioritize=partial(reprioritize, parts),
        cut=partial(cut, parts),
        num_bytes=sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves),
    )


def init(parts: Parts) -> ReplayState:
    """An empty memory."""
    rows, finals = parts.storage.init()
    return ReplayState(rows, jnp.int32(0), jnp.int32(0), finals, parts.selector.init(), parts.relabelling.init())


def add(
    parts: Parts,
    state: ReplayState,
    transition: Transition,
    indices: Array | None = None,
    td_error: Array | None = None,
) -> ReplayState:
    """Write a step to the row at the head, and reprioritise the rows that were learned from before it."""
    length = np.int32(parts.ring.length)
    rows, finals = parts.storage.write(StorageState(state.rows, state.finals), state.head, transition)
    reprioritized: tuple[Array, ...] = ()
    if indices is not None and td_error is not None:
        reprioritized = with_invalid(parts, StorageState(rows, finals), indices, td_error)
    return ReplayState(
        rows=rows,
        head=jax.lax.rem(state.head + 1, length),
        size=jnp.minimum(state.size, length - 1) + 1,
        finals=finals,
        priorities=parts.selector.add(state.priorities, state.head, *reprioritized),
        episodes=parts.relabelling.add(state.episodes, state.head, transition.terminated | transition.truncated),
    )


def sample(parts: Parts, key: Key, state: ReplayState, reward_limit: Array | None = None) -> Sample:
    """Choose rows, read the windows that start there, relabel them, and fold each into one transition."""
    config, length = parts.config, np.int32(parts.ring.length)
    stored, head = StorageState(state.rows, state.finals), state.head

    indices, power = parts.selector.draw(key, state.priorities, state.size)
    position = position_of(parts.ring, indices)
    window, missing = parts.storage.read(stored, position, head, config.n_step)

    def achieved_goal(position: Position) -> Array:
        return parts.storage.read(stored, position, head, 1)[0].next_obs[ACHIEVED][:, 0]

    window = parts.relabelling.relabel(key, state.episodes, position, head, window, missing, achieved_goal)
    batch = fold(clip_rewards(window, reward_limit), steps_to_head(position.row, head, length), config.discount)
    # Nothing is learned from rows whose successor is needed and missing.
    invalid = missing & (batch.discount != 0)
    weight = parts.selector.weights(state.priorities, power, invalid)
    return Sample(batch._replace(discount=jnp.where(invalid, 0, batch.discount), weight=weight), indices)


def reprioritize(parts: Parts, state: ReplayState, indices: Array, td_error: Array) -> ReplayState:
    """Give rows the priorities that their TD errors ask for."""
    reprioritized = with_invalid(parts, StorageState(state.rows, state.finals), indices, td_error)
    return state._replace(priorities=parts.selector.reprioritize(state.priorities, *reprioritized))


def cut(parts: Parts, state: ReplayState, which: Array) -> ReplayState:
    """Mark the newest step of these environments as truncated."""
    # An empty memory has no newest step.
    which = which & (state.size > 0)
    newest = newest_row(state.head, np.int32(parts.ring.length))
    rows, finals = parts.storage.cut(StorageState(state.rows, state.finals), newest, which)
    return state._replace(rows=rows, finals=finals, episodes=parts.relabelling.cut(state.episodes, which))


def with_invalid(parts: Parts, stored: StorageState, indices: Array, td_error: Array) -> tuple[Array, Array, Array]:
    """Rows, their TD errors, and which of them nothing can be learned from any more, since a successor is missing."""
    indices = jnp.asarray(indices, jnp.int32)
    # Apart from the gathers of the sample: fused with them, XLA would copy a table of the hindsight.
    missing = parts.storage.missing(stored, position_of(parts.ring, jax.lax.optimization_barrier(indices)))
    # Without a bootstrap no successor is needed.
    return indices, td_error, missing & (parts.config.discount != 0)


def position_of(ring: Ring, indices: Array) -> Position:
    """Row and environment of indices that are flat over `[length, N]`."""
    num_envs = np.int32(ring.num_envs)
    return Position(jax.lax.div(indices, num_envs), jax.lax.rem(indices, num_envs))

"""The memory: a ring of rows on the device, and batches drawn from it.

A batch comes about in four steps: choose rows, read the window of n steps from each, relabel them, fold them.
How steps are kept, which are chosen and what they are relabelled with are values of one type each.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.config import ConfigError, ReplayConfig, validate
from ddpg_jax.packing import Rows
from ddpg_jax.replay.hindsight import hindsight, no_relabelling
from ddpg_jax.replay.n_step import fold, limited
from ddpg_jax.replay.ring import Place, Ring, newest_row, steps_to_head
from ddpg_jax.replay.selection import proportional_selector, uniform_selector
from ddpg_jax.replay.storage import Kept, compact_storage, full_storage
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
    """A batch and where its rows start, flat over `[length, N]`, int32 `[B]`."""

    batch: Batch
    indices: Array


class Replay(NamedTuple):
    """A memory.

    Attributes:
        init: `init() -> ReplayState`, allocating everything.
        add: `add(ReplayState, Transition [N, ...], *learned) -> ReplayState`, O(1) or, prioritised, O(log capacity), in
            place when donated. `learned`, if given, is what `reprioritize` takes, and done first, in the same pass.
        sample: `sample(key, ReplayState, reward_limit=None) -> Sample`, the reward of each step within `reward_limit`
            before n of them are folded; at least one step must have been added.
        reprioritize: `reprioritize(ReplayState, indices [K], td_error [K]) -> ReplayState`, for rows that were
            sampled. Those whose successor the compact storage has lost meanwhile are not drawn again.
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


def make_replay(spec: EnvSpec, config: ReplayConfig = ReplayConfig(), num_envs: int = 1) -> Replay:  # noqa: B008
    """A ring buffer; each of its rows starts a window of up to n steps, and can be drawn.

    Args:
        spec: the environment's spaces; for hindsight also its reward.
        config: capacity (rounded down to a multiple of `num_envs`), batch size, discount, n_step, and how steps are
            kept, drawn and relabelled.
        num_envs: environments N whose steps are added together.

    Raises:
        ConfigError: naming every setting that cannot be used.

    Source: Lin (1992); Mnih et al. (2015); Schaul et al. (2016); Andrychowicz et al. (2017).
    """
    validate(config)
    if not 1 <= num_envs <= config.capacity:
        raise ConfigError(f"num_envs = {num_envs} must be in [1, capacity = {config.capacity}]")
    ring = Ring(config.capacity // num_envs, num_envs)
    storage = compact_storage(spec, ring, config.hindsight != "none") if config.compact else full_storage(spec, ring)
    selector = (uniform_selector if config.sampling == "uniform" else proportional_selector)(config, ring)
    relabelling = (no_relabelling if config.hindsight == "none" else hindsight)(spec, config, ring)
    length, n = np.int32(ring.length), np.int32(num_envs)

    def init() -> ReplayState:
        rows, finals = storage.init()
        return ReplayState(rows, jnp.int32(0), jnp.int32(0), finals, selector.init(), relabelling.init())

    def place_of(indices: Array) -> Place:
        return Place(jax.lax.div(indices, n), jax.lax.rem(indices, n))

    def with_lost(kept: Kept, indices: Array, td_error: Array) -> tuple[Array, Array, Array]:
        indices = jnp.asarray(indices, jnp.int32)
        # Apart from the gathers of the sample: fused with them, XLA would copy a table of the hindsight.
        lost = storage.lost(kept, place_of(jax.lax.optimization_barrier(indices)))
        # Without a bootstrap no successor is needed.
        return indices, td_error, lost & (config.discount != 0)

    def add(state: ReplayState, transition: Transition, *learned: Array) -> ReplayState:
        rows, finals = storage.write(Kept(state.rows, state.finals), state.head, transition)
        told = with_lost(Kept(rows, finals), *learned) if learned else ()
        return ReplayState(
            rows=rows,
            head=jax.lax.rem(state.head + 1, length),
            size=jnp.minimum(state.size, length - 1) + 1,
            finals=finals,
            priorities=selector.add(state.priorities, state.head, *told),
            episodes=relabelling.add(state.episodes, state.head, transition.terminated | transition.truncated),
        )

    def sample(key: Key, state: ReplayState, reward_limit: Array | None = None) -> Sample:
        kept, head = Kept(state.rows, state.finals), state.head
        indices, power = selector.draw(key, state.priorities, state.size)
        place = place_of(indices)
        window, lost = storage.read(kept, place, head, config.n_step)

        def achieved(place: Place) -> Array:
            return storage.read(kept, place, head, 1)[0].next_obs[ACHIEVED][:, 0]

        window = relabelling.relabel(key, state.episodes, place, head, window, lost, achieved)
        batch = fold(limited(window, reward_limit), steps_to_head(place.row, head, length), config.discount)
        # Nothing is learned from rows whose successor is needed and lost.
        lost &= batch.discount != 0
        weight = selector.weigh(state.priorities, power, lost)
        return Sample(batch._replace(discount=jnp.where(lost, 0, batch.discount), weight=weight), indices)

    def reprioritize(state: ReplayState, indices: Array, td_error: Array) -> ReplayState:
        told = with_lost(Kept(state.rows, state.finals), indices, td_error)
        return state._replace(priorities=selector.reprioritize(state.priorities, *told))

    def cut(state: ReplayState, which: Array) -> ReplayState:
        # An empty memory has no newest step.
        which = which & (state.size > 0)
        rows, finals = storage.cut(Kept(state.rows, state.finals), newest_row(state.head, length), which)
        return state._replace(rows=rows, finals=finals, episodes=relabelling.cut(state.episodes, which))

    leaves = jax.tree.leaves(jax.eval_shape(init))
    num_bytes = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
    return Replay(init, add, sample, reprioritize, cut, num_bytes)

"""Steps stored with each observation once: a step's successor is the observation of the next row.

Where there is no such row, since the episode was truncated or the step is the newest, the successor is stored apart,
for the last M of these episodes of each environment (`num_finals`). Of an older one the last step's successor is
missing, and windows end at the step before it. What follows where the task ended is needed for other goals only, and
stored if they are asked for; otherwise a window that ends there has the step's own observation in its place.

Bytes of a transition, for O bytes of an observation and A action dimensions, with numbers of 4 bytes:

O + 4 (A + 2) + O / 14,  where the full storage has  2 O + 4 (A + 3)

The observation of a step must be the successor that the step before it had, unless an episode ended between.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.config import ConfigError
from ddpg_jax.packing import Packing, Rows, make_packing, put_row
from ddpg_jax.replay.n_step import take_step
from ddpg_jax.replay.ring import Position, Ring, later_rows, newest_row
from ddpg_jax.replay.storage import Storage, StorageState, empty_rows, gather, get_row
from ddpg_jax.types import Array, EnvSpec, Transition, Tree, transition_struct

# Place values in the int32 `ending` of a step: two flags, and above them the number of the episode's final.
TERMINATED, TRUNCATED, NUMBER = 1, 2, 4
NUMBERS = 2**31 // NUMBER


class CompactStep(NamedTuple):
    """A step without its successor.

    Attributes:
        obs, action, reward: as in `Transition`.
        ending: its flags in the lowest bits, and the number of the episode's place in `Finals` above them, int32.
    """

    obs: Tree
    action: Array
    reward: Array
    ending: Array


class Finals(NamedTuple):
    """The last observations of the newest M episodes of each environment that need one.

    Attributes:
        obs: packed successor of each episode's newest step, in a ring by number, `{dtype: [M, N, width]}`.
        number: of the place of the newest step's episode; begins again at 0 after a multiple of M, int32 `[N]`.
        closed: whether that place holds the end of an episode, so that the next step takes another, `[N]` bool.
    """

    obs: Rows
    number: Array
    closed: Array


class Layout(NamedTuple):
    """How compact steps lie in memory.

    Attributes:
        ring: its size.
        keep_terminal: whether the observation at which the task ended is stored, too.
        packing: of a `CompactStep`.
        obs_packing: of an observation in `Finals`.
        num_finals: M.
        period: numbers of finals begin again at 0 after so many, a multiple of M.
    """

    ring: Ring
    keep_terminal: bool
    packing: Packing
    obs_packing: Packing
    num_finals: np.int32
    period: np.int32

    @property
    def length(self) -> np.int32:
        """Rows of the ring."""
        return np.int32(self.ring.length)


def compact_storage(spec: EnvSpec, ring: Ring, keep_terminal: bool = False) -> Storage:
    """Each observation once.

    Args:
        spec: the environment's spaces.
        ring: its size.
        keep_terminal: whether the observation at which the task ended is needed.

    Raises:
        ConfigError: if there are more rows than numbers.
    """
    finals = np.int32(num_finals(ring.length))
    period = np.int32(NUMBERS - NUMBERS % finals)
    if np.int32(ring.length) >= period:
        raise ConfigError(
            f"compact = True keeps fewer than {period} steps of an environment, not {ring.length}; lower capacity"
        )
    struct = transition_struct(spec)
    int32: Any = jax.ShapeDtypeStruct((), jnp.int32)
    packing = make_packing(CompactStep(struct.obs, struct.action, struct.reward, int32))
    layout = Layout(ring, keep_terminal, packing, make_packing(struct.obs), finals, period)
    return Storage(
        init=partial(init, layout),
        write=partial(write, layout),
        read=partial(read, layout),
        missing=partial(is_missing, layout),
        cut=partial(cut, layout),
    )


def num_finals(length: int) -> int:
    """Episodes of each environment whose last observation is stored, M = 1 + max(1, length // 14).

    So no successor is missing where the episodes that need one have 14 steps on average.
    """
    return 1 + max(1, length // 14)


def init(layout: Layout) -> StorageState:
    """Empty: numbers begin at 0, and the first step of all takes no other."""
    ring = layout.ring
    obs = empty_rows(layout.obs_packing, Ring(int(layout.num_finals), ring.num_envs))
    zeros = jnp.zeros(ring.num_envs, jnp.int32)
    return StorageState(empty_rows(layout.packing, ring), Finals(obs, zeros, zeros.astype(jnp.bool_)))


def write(layout: Layout, stored: StorageState, row: Array, transition: Transition) -> StorageState:
    """Write a step to a row, and its successor to the place of its episode."""
    finals, terminated, truncated = stored.finals, transition.terminated, transition.truncated
    number = jax.lax.rem(finals.number + finals.closed, layout.period)
    slot, final_obs = jax.lax.rem(number, layout.num_finals), layout.obs_packing.pack(transition.next_obs)
    envs = np.arange(layout.ring.num_envs, dtype=np.int32)
    obs = {dtype: finals.obs[dtype].at[slot, envs].set(final_obs[dtype]) for dtype in finals.obs}
    ending = number * NUMBER + truncated * TRUNCATED + terminated * TERMINATED
    step = CompactStep(transition.obs, transition.action, transition.reward, ending)
    rows = put_row(stored.rows, row, layout.packing.pack(step))
    return StorageState(rows, Finals(obs, number, needs_final(layout, terminated, truncated)))


def read(
    layout: Layout, stored: StorageState, position: Position, head: Array, window: int
) -> tuple[Transition, Array]:
    """The windows of n steps from each position on, and which of them end at a missing successor."""
    rows = later_rows(position.row[:, None], jnp.arange(window + 1, dtype=jnp.int32), layout.length)
    steps: CompactStep = layout.packing.unpack(gather(stored.rows, rows, position.env[:, None]))
    terminated, truncated = flags(steps.ending)
    ends = needs_final(layout, terminated, truncated)
    # All steps of a window that are used are of the episode of its first.
    ending = steps.ending[:, 0]
    has_final = final_is_stored(layout, stored.finals, ending, position.env)[:, None]
    final_obs = read_finals(layout, stored.finals, ending, position.env)
    no_next_row = ends | (rows == newest_row(head, layout.length))

    def successor(obs: Array, final: Array) -> Array:
        # A successor that is missing still needs an observation: the step's own.
        own = jnp.where(expand(no_next_row & has_final, obs), final[:, None], obs)[:, :window]
        return jnp.where(expand((no_next_row | terminated)[:, :window], obs), own, obs[:, 1:])

    next_obs = jax.tree.map(successor, steps.obs, final_obs)
    # The observation of a step whose successor is missing is the successor of the step before, which ends the window.
    before_missing = (ends & ~terminated & ~has_final)[:, 1:]
    obs, action, reward, terminated, truncated, ends = jax.tree.map(
        lambda leaf: leaf[:, :window], (steps.obs, steps.action, steps.reward, terminated, truncated, ends)
    )
    windows = Transition(obs, action, reward, terminated, truncated | before_missing, next_obs)
    last_step = jnp.argmax(windows.terminated | windows.truncated, axis=1)[:, None]
    return windows, take_step(ends & ~has_final, last_step)


def is_missing(layout: Layout, stored: StorageState, position: Position) -> Array:
    """Whether the successor of a step that was truncated is stored no more."""
    ending = layout.packing.unpack(gather(stored.rows, position.row, position.env)).ending
    terminated, truncated = flags(ending)
    return truncated & ~terminated & ~final_is_stored(layout, stored.finals, ending, position.env)


def cut(layout: Layout, stored: StorageState, row: Array, which: Array) -> StorageState:
    """Mark a row as truncated in these environments."""
    step: CompactStep = layout.packing.unpack(get_row(stored.rows, row))
    terminated, truncated = flags(step.ending)
    step = step._replace(ending=step.ending + (which & ~truncated) * TRUNCATED)
    closed = stored.finals.closed | needs_final(layout, terminated, truncated | which)
    return StorageState(put_row(stored.rows, row, layout.packing.pack(step)), stored.finals._replace(closed=closed))


def needs_final(layout: Layout, terminated: Array, truncated: Array) -> Array:
    """Whether a step is the last of an episode whose last observation is stored apart."""
    return terminated | truncated if layout.keep_terminal else truncated & ~terminated


def final_is_stored(layout: Layout, finals: Finals, ending: Array, env: Array) -> Array:
    """Whether the place of a step's episode is still its own: fewer than M others have begun since."""
    later = finals.number[env] - ending // NUMBER
    return jnp.where(later < 0, later + layout.period, later) < layout.num_finals


def read_finals(layout: Layout, finals: Finals, ending: Array, env: Array) -> Tree:
    """What lies at the places of the steps' episodes, `[B, ...]`."""
    slot = jax.lax.rem(ending // NUMBER, layout.num_finals)
    return layout.obs_packing.unpack(gather(finals.obs, slot, env))


def flags(ending: Array) -> tuple[Array, Array]:
    """Whether a step terminated and whether it was truncated."""
    return (ending & TERMINATED) != 0, (ending & TRUNCATED) != 0


def expand(mask: Array, leaf: Array) -> Array:
    """A mask with as many dimensions as the leaf it is for."""
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))

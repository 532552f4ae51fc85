"""How steps are kept: each whole in one row, or each observation once, without its copy as a successor.

What a storage keeps is `Kept(rows, finals)`. Rows are packed (`ddpg_jax.packing`) and lie in a ring; `finals`
is what the compact storage needs beside them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.config import ConfigError
from ddpg_jax.packing import Packing, Rows, make_packing, put_row
from ddpg_jax.replay.n_step import take_step
from ddpg_jax.replay.ring import Place, Ring, later_rows, newest_row
from ddpg_jax.types import Array, EnvSpec, Transition, Tree, transition_struct

# Where the flags of a compact step lie in its int32, and the number above them.
TERMINATED, TRUNCATED, NUMBERED = 1, 2, 4
NUMBERS = 2**31 // NUMBERED


class Kept(NamedTuple):
    """What a storage keeps: rows `{dtype: [length, N, width]}`, and more if it needs more."""

    rows: Rows
    finals: Tree = ()


class CompactStep(NamedTuple):
    """A step without its successor.

    Attributes:
        obs, action, reward: as in `Transition`.
        end: its flags in the lowest bits, and the number of the episode's place in `Finals` above them, int32.
    """

    obs: Tree
    action: Array
    reward: Array
    end: Array


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


class Storage(NamedTuple):
    """A way to keep steps.

    Attributes:
        init: `init() -> Kept`, allocating everything.
        write: `write(Kept, row, Transition [N, ...]) -> Kept`, O(1), in place when donated.
        read: `read(Kept, Place [B], head, n) -> (windows [B, n, ...], lost [B])`: the steps from each place on, and
            which windows end where the true successor is not known any more.
        lost: `lost(Kept, Place [B]) -> [B] bool`, whether the successor that a step is bootstrapped from is not known
            any more, so that nothing can be learned from a window that begins there.
        cut: `cut(Kept, row, which [N]) -> Kept`, the newest row of these environments marked as truncated.
    """

    init: Callable[[], Kept]
    write: Callable[[Kept, Array, Transition], Kept]
    read: Callable[[Kept, Place, Array, int], tuple[Transition, Array]]
    lost: Callable[[Kept, Place], Array]
    cut: Callable[[Kept, Array, Array], Kept]


def full_storage(spec: EnvSpec, ring: Ring) -> Storage:
    """Each transition whole in a row."""
    packing, length = make_packing(transition_struct(spec)), np.int32(ring.length)

    def init() -> Kept:
        return Kept(empty_rows(packing, ring))

    def write(kept: Kept, row: Array, transition: Transition) -> Kept:
        return Kept(put_row(kept.rows, row, packing.pack(transition)))

    def read(kept: Kept, place: Place, head: Array, window: int) -> tuple[Transition, Array]:
        later = later_rows(place.row[:, None], jnp.arange(window, dtype=jnp.int32), length)
        steps = packing.unpack(gather(kept.rows, later, place.env[:, None]))
        return steps, none_lost(kept, place)

    def none_lost(kept: Kept, place: Place) -> Array:
        return jnp.zeros(place.row.shape, jnp.bool_)

    def cut(kept: Kept, row: Array, which: Array) -> Kept:
        step: Transition = packing.unpack(row_at(kept.rows, row))
        return Kept(put_row(kept.rows, row, packing.pack(step._replace(truncated=step.truncated | which))))

    return Storage(init, write, read, none_lost, cut)


def compact_storage(spec: EnvSpec, ring: Ring, keep_terminal: bool = False) -> Storage:
    """Each observation once: a step's successor is the observation of the next row.

    Where there is no such row, since the episode was cut or the step is the newest, it is kept apart, for the last
    M of these episodes of each environment (`kept_finals`). Of an older one the last step is lost, and windows end at
    the step before it. What follows where the task ended is needed for other goals only, and kept if they are asked
    for; otherwise a window that ends there has the step's own observation in its place.

    Bytes of a transition, for O bytes of an observation and A action dimensions, with numbers of 4 bytes:

    O + 4 (A + 2) + O / 14,  where the full storage has  2 O + 4 (A + 3)

    The observation of a step must be the successor that the step before it had, unless an episode ended between.

    Args:
        spec: the environment's spaces.
        ring: its size.
        keep_terminal: whether the observation at which the task ended is needed.

    Raises:
        ConfigError: if there are more rows than numbers.
    """
    episodes, length = np.int32(kept_finals(ring.length)), np.int32(ring.length)
    period = np.int32(NUMBERS - NUMBERS % episodes)
    if length >= period:
        raise ConfigError(
            f"compact = True keeps fewer than {period} steps of an environment, not {length}; lower capacity"
        )
    struct = transition_struct(spec)
    int32: Any = jax.ShapeDtypeStruct((), jnp.int32)
    packing = make_packing(CompactStep(struct.obs, struct.action, struct.reward, int32))
    obs_packing = make_packing(struct.obs)
    envs = np.arange(ring.num_envs, dtype=np.int32)

    def init() -> Kept:
        # Empty: numbers begin at 0, and the first step of all takes none.
        final_obs = empty_rows(obs_packing, Ring(int(episodes), ring.num_envs))
        nothing = jnp.zeros(ring.num_envs, jnp.int32)
        return Kept(empty_rows(packing, ring), Finals(final_obs, nothing, nothing.astype(jnp.bool_)))

    def closing(terminated: Array, truncated: Array) -> Array:
        return terminated | truncated if keep_terminal else truncated & ~terminated

    def write(kept: Kept, row: Array, transition: Transition) -> Kept:
        finals, terminated, truncated = kept.finals, transition.terminated, transition.truncated
        number = jax.lax.rem(finals.number + finals.closed, period)
        slot, final_obs = jax.lax.rem(number, episodes), obs_packing.pack(transition.next_obs)
        obs = {dtype: finals.obs[dtype].at[slot, envs].set(final_obs[dtype]) for dtype in finals.obs}
        end = number * NUMBERED + truncated * TRUNCATED + terminated * TERMINATED
        step = CompactStep(transition.obs, transition.action, transition.reward, end)
        rows = put_row(kept.rows, row, packing.pack(step))
        return Kept(rows, Finals(obs, number, closing(terminated, truncated)))

    def is_kept(finals: Finals, end: Array, env: Array) -> Array:
        later = finals.number[env] - end // NUMBERED
        return jnp.where(later < 0, later + period, later) < episodes

    def read(kept: Kept, place: Place, head: Array, window: int) -> tuple[Transition, Array]:
        later = later_rows(place.row[:, None], jnp.arange(window + 1, dtype=jnp.int32), length)
        steps: CompactStep = packing.unpack(gather(kept.rows, later, place.env[:, None]))
        terminated, truncated = flags(steps.end)
        closed = closing(terminated, truncated)
        # All steps of a window that are used are of the episode of its first.
        end = steps.end[:, 0]
        known = is_kept(kept.finals, end, place.env)[:, None]
        final_obs = obs_packing.unpack(gather(kept.finals.obs, jax.lax.rem(end // NUMBERED, episodes), place.env))
        last = closed | (later == newest_row(head, length))

        def successor(obs: Array, final: Array) -> Array:
            # What is not kept still needs an observation: the step's own.
            own = jnp.where(wide(last & known, obs), final[:, None], obs)[:, :window]
            return jnp.where(wide((last | terminated)[:, :window], obs), own, obs[:, 1:])

        next_obs = jax.tree.map(successor, steps.obs, final_obs)
        # The observation of a step that is lost is the successor of the step before.
        before_lost = (closed & ~terminated & ~known)[:, 1:]
        obs, action, reward, terminated, truncated, closed = jax.tree.map(
            lambda leaf: leaf[:, :window], (steps.obs, steps.action, steps.reward, terminated, truncated, closed)
        )
        now = Transition(obs, action, reward, terminated, truncated | before_lost, next_obs)
        ends_at = jnp.argmax(now.terminated | now.truncated, axis=1)[:, None]
        return now, take_step(closed & ~known, ends_at)

    def lost(kept: Kept, place: Place) -> Array:
        end = packing.unpack(gather(kept.rows, place.row, place.env)).end
        terminated, truncated = flags(end)
        return truncated & ~terminated & ~is_kept(kept.finals, end, place.env)

    def cut(kept: Kept, row: Array, which: Array) -> Kept:
        step: CompactStep = packing.unpack(row_at(kept.rows, row))
        terminated, truncated = flags(step.end)
        step = step._replace(end=step.end + (which & ~truncated) * TRUNCATED)
        finals = kept.finals._replace(closed=kept.finals.closed | closing(terminated, truncated | which))
        return Kept(put_row(kept.rows, row, packing.pack(step)), finals)

    return Storage(init, write, read, lost, cut)


def flags(end: Array) -> tuple[Array, Array]:
    """Whether a step terminated and whether it was truncated, of the number that a compact row keeps."""
    return (end & TERMINATED) != 0, (end & TRUNCATED) != 0


def kept_finals(length: int) -> int:
    """Episodes of each environment whose last observation compact storage keeps, M = 1 + max(1, length // 14).

    So nothing is lost where those that need one have 14 steps on average.
    """
    return 1 + max(1, length // 14)


def empty_rows(packing: Packing, ring: Ring) -> Rows:
    """Rows of zeros, `{dtype: [length, N, width]}`."""
    return {dtype: jnp.zeros((*ring, width), dtype) for dtype, width in packing.widths.items()}


def gather(rows: Rows, row: Array, env: Array) -> Rows:
    """The rows at these places, one gather for each dtype."""
    return {dtype: rows[dtype][row, env] for dtype in rows}


def row_at(rows: Rows, row: Array) -> Rows:
    """One row of all environments."""
    return {dtype: rows[dtype][row] for dtype in rows}


def wide(mask: Array, leaf: Array) -> Array:
    """A mask with as many dimensions as the leaf it is for."""
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))

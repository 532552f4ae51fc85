"""How steps are kept: each whole in one row, or each observation once, without its copy as a successor.

What a storage keeps is `Kept(rows, finals)`. Rows are packed (`ddpg_jax.packing`) and lie in a ring; `finals`
is what the compact storage needs beside them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.packing import Packing, Rows, make_packing, put_row
from ddpg_jax.replay.ring import Place, Ring, later_rows, newest_row
from ddpg_jax.types import Array, EnvSpec, Transition, Tree, transition_struct


class Kept(NamedTuple):
    """What a storage keeps: rows `{dtype: [length, N, width]}`, and more if it needs more."""

    rows: Rows
    finals: Tree = ()


class Finals(NamedTuple):
    """The newest observations of the last M episodes of each environment.

    Attributes:
        obs: packed successor of each episode's newest step, in a ring by number, `{dtype: [M, N, width]}`.
        episode: number of the newest step's episode, int32 `[N]`.
        ended: whether that step is its last, `[N]` bool.
    """

    obs: Rows
    episode: Array
    ended: Array


class Storage(NamedTuple):
    """A way to keep steps.

    Attributes:
        init: `init() -> Kept`, allocating everything.
        write: `write(Kept, row, Transition [N, ...]) -> Kept`, O(1), in place when donated.
        read: `read(Kept, Place [B], head, n) -> (windows [B, n, ...], lost [B])`: the steps from each place on, and
            which windows end where the true successor is not known any more.
        cut: `cut(Kept, row, which [N]) -> Kept`, the newest row of these environments marked as truncated.
    """

    init: Callable[[], Kept]
    write: Callable[[Kept, Array, Transition], Kept]
    read: Callable[[Kept, Place, Array, int], tuple[Transition, Array]]
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
        return steps, jnp.zeros(place.row.shape, jnp.bool_)

    def cut(kept: Kept, row: Array, which: Array) -> Kept:
        return Kept(truncate(kept.rows, packing, row, which))

    return Storage(init, write, read, cut)


def compact_storage(spec: EnvSpec, ring: Ring) -> Storage:
    """Each observation once: a step's successor is the observation of the next row.

    Where there is no such row, since the episode ended or the step is the newest, it is kept under the episode's
    number, for the last M episodes of each environment (`kept_finals`). Of an older one that ended
    truncated, the successor is lost.

    The observation of a step must be the successor that the step before it had, unless an episode ended between.
    """
    struct = transition_struct(spec)
    # In place of the successor: the number of the episode.
    packing = make_packing(struct._replace(next_obs=jax.ShapeDtypeStruct((), jnp.int32)))
    obs_packing = make_packing(struct.obs)
    episodes = np.int32(kept_finals(ring.length))
    length = np.int32(ring.length)
    envs = np.arange(ring.num_envs, dtype=np.int32)

    def init() -> Kept:
        # Empty: numbers begin at 0, and the first step of all begins none.
        final_obs = empty_rows(obs_packing, Ring(int(episodes), ring.num_envs))
        nothing = jnp.zeros(ring.num_envs, jnp.int32)
        return Kept(empty_rows(packing, ring), Finals(final_obs, nothing, nothing.astype(jnp.bool_)))

    def write(kept: Kept, row: Array, transition: Transition) -> Kept:
        finals = kept.finals
        episode = finals.episode + finals.ended
        slot, final_obs = jax.lax.rem(episode, episodes), obs_packing.pack(transition.next_obs)
        obs = {dtype: finals.obs[dtype].at[slot, envs].set(final_obs[dtype]) for dtype in finals.obs}
        rows = put_row(kept.rows, row, packing.pack(transition._replace(next_obs=episode)))
        return Kept(rows, Finals(obs, episode, transition.terminated | transition.truncated))

    def read(kept: Kept, place: Place, head: Array, window: int) -> tuple[Transition, Array]:
        finals = kept.finals
        later = later_rows(place.row[:, None], jnp.arange(window + 1, dtype=jnp.int32), length)
        steps = packing.unpack(gather(kept.rows, later, place.env[:, None]))
        now: Transition = jax.tree.map(lambda leaf: leaf[:, :window], steps)
        # All steps of a window that are used are of the episode of its first.
        episode = now.next_obs[:, 0]
        known = finals.episode[place.env] - episode < episodes
        final_obs = obs_packing.unpack(gather(finals.obs, jax.lax.rem(episode, episodes), place.env))
        ended = now.terminated | now.truncated
        alone = ended | (later[:, :window] == newest_row(head, length))

        def successor(obs: Array, final: Array) -> Array:
            # What is lost still needs an observation: the step's own.
            last = jnp.where(wide(known[:, None], obs), final[:, None], obs[:, :window])
            return jnp.where(wide(alone, obs), last, obs[:, 1:])

        next_obs = jax.tree.map(successor, steps.obs, final_obs)
        return now._replace(next_obs=next_obs), ended.any(axis=1) & ~known

    def cut(kept: Kept, row: Array, which: Array) -> Kept:
        finals = kept.finals._replace(ended=kept.finals.ended | which)
        return Kept(truncate(kept.rows, packing, row, which), finals)

    return Storage(init, write, read, cut)


def kept_finals(length: int) -> int:
    """Episodes of each environment whose last observation compact storage keeps, M = 1 + max(1, length // 8)."""
    return 1 + max(1, length // 8)


def empty_rows(packing: Packing, ring: Ring) -> Rows:
    """Rows of zeros, `{dtype: [length, N, width]}`."""
    return {dtype: jnp.zeros((*ring, width), dtype) for dtype, width in packing.widths.items()}


def gather(rows: Rows, row: Array, env: Array) -> Rows:
    """The rows at these places, one gather for each dtype."""
    return {dtype: rows[dtype][row, env] for dtype in rows}


def truncate(rows: Rows, packing: Packing, row: Array, which: Array) -> Rows:
    """Rows with one of them marked as truncated for some environments."""
    step: Transition = packing.unpack({dtype: rows[dtype][row] for dtype in rows})
    return put_row(rows, row, packing.pack(step._replace(truncated=step.truncated | which)))


def wide(mask: Array, leaf: Array) -> Array:
    """A mask with as many dimensions as the leaf it is for."""
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))

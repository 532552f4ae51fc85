"""Steps seen again in the light of a goal that their episode did reach.

Which row is an episode's newest is known without a search. Each row keeps the row at which its episode began, and
a table, indexed by that first row, holds the newest row of the episode.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.config import ConfigError, ReplayConfig
from ddpg_jax.replay.ring import Place, Ring, later_rows, steps_to_head
from ddpg_jax.types import ACHIEVED, DESIRED, Array, EnvSpec, Key, Transition, Tree

GOAL_KEYS = {"observation", ACHIEVED, DESIRED}
# Folded into the key of a sample, which the choice of its rows has used up.
GOALS = 1


class Relabelling(NamedTuple):
    """What happens to windows between reading and folding.

    Attributes:
        init: `init() -> state`.
        add: `add(state, row, ended [N]) -> state`, a step was written to this row.
        cut: `cut(state, which [N]) -> state`, the running episodes of these environments end here.
        relabel: `relabel(key, state, Place [B], head, windows [B, n, ...], lost [B], achieved) -> windows`, where
            `achieved(Place [B]) -> [B, G]` is the goal that the step at a place reached.
    """

    init: Callable[[], Tree]
    add: Callable[[Tree, Array, Array], Tree]
    cut: Callable[[Tree, Array], Tree]
    relabel: Callable[[Key, Tree, Place, Array, Transition, Array, Callable[[Place], Array]], Transition]


class Episodes(NamedTuple):
    """Where episodes lie in the ring.

    Attributes:
        first: row at which each row's episode began, int32 `[length, N]`.
        newest: newest row of the episode that began at each row, int32 `[length, N]`.
        running: row at which the running episode began, int32 `[N]`.
        ended: whether the next step begins another, `[N]` bool.
    """

    first: Array
    newest: Array
    running: Array
    ended: Array


def no_relabelling(spec: EnvSpec, config: ReplayConfig, ring: Ring) -> Relabelling:
    """Every step as it was."""
    return Relabelling(
        init=lambda: (),
        add=lambda state, row, ended: state,
        cut=lambda state, which: state,
        relabel=lambda key, state, place, head, window, lost, achieved: window,
    )


def hindsight(spec: EnvSpec, config: ReplayConfig, ring: Ring) -> Relabelling:
    """A share `hindsight_ratio` of the windows gets a goal g' that was reached later in the same episode.

    g' = achieved_goal(next_obs at t'),  r_i = goal_reward(achieved_goal(next_obs_i), g')

    with t' the episode's newest step ("final"), or uniform between the window's first step and that one ("future").
    Whether a step terminated or truncated stays as it was stored, also where the new goal would have ended the
    episode earlier or later. Of an episode whose first row was overwritten nobody knows the newest row any more;
    its steps see the goal that they reached themselves.

    Raises:
        ConfigError: if this is no goal environment, or nobody knows its reward for another goal.

    Source: Andrychowicz et al. (2017), sections 3.2 and 4.5.
    """
    reward_of, choose = find_goal_reward(spec, config.hindsight), CHOICES[config.hindsight]
    length = np.int32(ring.length)
    envs = np.arange(ring.num_envs, dtype=np.int32)

    def init() -> Episodes:
        # A donated state must hold no array twice.
        first, newest = jnp.zeros(ring, jnp.int32), jnp.zeros(ring, jnp.int32)
        return Episodes(first, newest, jnp.zeros_like(envs), jnp.ones(ring.num_envs, jnp.bool_))

    def add(state: Episodes, row: Array, ended: Array) -> Episodes:
        running = jnp.where(state.ended, row, state.running)
        first, newest = state.first.at[row].set(running), state.newest.at[running, envs].set(row)
        return Episodes(first, newest, running, ended)

    def cut(state: Episodes, which: Array) -> Episodes:
        return state._replace(ended=state.ended | which)

    def steps_left(state: Episodes, place: Place, head: Array) -> Array:
        first = state.first[place]
        age = steps_to_head(place.row, head, length)
        left = age - steps_to_head(state.newest[first, place.env], head, length)
        # A first row that is newer than the row itself was overwritten, and its entry may be another episode's.
        return jnp.where(steps_to_head(first, head, length) >= age, left, 0)

    def relabel(
        key: Key,
        state: Episodes,
        place: Place,
        head: Array,
        window: Transition,
        lost: Array,
        achieved: Callable[[Place], Array],
    ) -> Transition:
        which_key, step_key = jax.random.split(jax.random.fold_in(key, GOALS))
        # The reward of a step whose successor is lost cannot be told for another goal.
        chosen = (jax.random.uniform(which_key, lost.shape) < config.hindsight_ratio) & ~lost
        steps = choose(step_key, steps_left(state, place, head))
        goal = achieved(place._replace(row=later_rows(place.row, steps, length)))[:, None]
        chosen = chosen[:, None]

        def see(obs: dict[str, Array]) -> dict[str, Array]:
            desired = obs[DESIRED]
            return obs | {DESIRED: jnp.where(chosen[..., None], goal.astype(desired.dtype), desired)}

        next_obs = see(window.next_obs)
        reward = reward_of(next_obs[ACHIEVED], next_obs[DESIRED]).astype(window.reward.dtype)
        return window._replace(obs=see(window.obs), next_obs=next_obs, reward=jnp.where(chosen, reward, window.reward))

    return Relabelling(init, add, cut, relabel)


def final_step(key: Key, left: Array) -> Array:
    """The last of the steps that are left."""
    return left


def future_step(key: Key, left: Array) -> Array:
    """Any of the steps that are left, the present one included, equally likely."""
    bits = jax.random.bits(key, left.shape, jnp.uint32)
    return (bits % (left + 1).astype(jnp.uint32)).astype(jnp.int32)


CHOICES = {"final": final_step, "future": future_step}


def find_goal_reward(spec: EnvSpec, kind: str) -> Callable[[Array, Array], Array]:
    """The reward of a goal environment.

    Raises:
        ConfigError: if there is none, or the observations are not those of a goal environment.
    """
    obs: Any = spec.obs
    if not isinstance(obs, dict) or not obs.keys() >= GOAL_KEYS:
        raise ConfigError(
            f"hindsight = {kind!r} needs a goal environment, whose observations are a dict of "
            f"{', '.join(sorted(GOAL_KEYS))}; choose hindsight = 'none'"
        )
    achieved, desired = obs[ACHIEVED].shape, obs[DESIRED].shape
    if achieved != desired or len(achieved) != 1:
        raise ConfigError(
            f"hindsight = {kind!r} needs goals of one and the same dimension; achieved_goal has the shape {achieved}, "
            f"desired_goal {desired}"
        )
    if spec.goal_reward is None:
        raise ConfigError(
            f"hindsight = {kind!r} needs the reward for another goal: the environment's compute_reward cannot be "
            "traced, or it has none; pass goal_reward=... (ddpg_jax.envs.gymnasium.make has that parameter)"
        )
    return spec.goal_reward

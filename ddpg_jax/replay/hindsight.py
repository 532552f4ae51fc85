"""Hindsight: steps relabelled with a goal that their episode did reach.

Which row is an episode's newest is known without a search. Each row keeps the row at which its episode began, and
a table, indexed by that first row, holds the newest row of the episode.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.config import ConfigError, ReplayConfig
from ddpg_jax.replay.ring import Position, Ring, later_rows, steps_to_head
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
        relabel: `relabel(key, state, Position [B], head, windows [B, n, ...], missing [B], achieved_goal) -> windows`,
            where `missing` says which windows end at a successor that is stored no more, and
            `achieved_goal(Position [B]) -> [B, G]` is the goal that the step at a position reached.
    """

    init: Callable[[], Tree]
    add: Callable[[Tree, Array, Array], Tree]
    cut: Callable[[Tree, Array], Tree]
    relabel: Callable[[Key, Tree, Position, Array, Transition, Array, Callable[[Position], Array]], Transition]


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


class Goals(NamedTuple):
    """How rows are relabelled.

    Attributes:
        ring: size of the memory.
        ratio: share of the windows that get another goal.
        choose: `choose(key, left [B]) -> steps [B]`, how many steps later the goal was reached.
        reward: `reward(achieved, desired) -> reward`, for any goals.
    """

    ring: Ring
    ratio: float
    choose: Callable[[Key, Array], Array]
    reward: Callable[[Array, Array], Array]

    @property
    def length(self) -> np.int32:
        """Rows of the ring."""
        return np.int32(self.ring.length)


def identity_relabelling(spec: EnvSpec, config: ReplayConfig, ring: Ring) -> Relabelling:
    """Every step as it was."""
    return Relabelling(
        init=lambda: (),
        add=lambda state, row, ended: state,
        cut=lambda state, which: state,
        relabel=lambda key, state, position, head, window, missing, achieved_goal: window,
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
    reward = find_goal_reward(spec, config.hindsight)
    goals = Goals(ring, config.hindsight_ratio, CHOICES[config.hindsight], reward)
    return Relabelling(partial(init, ring), partial(add, ring), cut, partial(relabel, goals))


def init(ring: Ring) -> Episodes:
    """No episode yet: the next step of each environment begins one."""
    # A donated state must hold no array twice.
    first, newest = jnp.zeros(ring, jnp.int32), jnp.zeros(ring, jnp.int32)
    return Episodes(first, newest, jnp.zeros(ring.num_envs, jnp.int32), jnp.ones(ring.num_envs, jnp.bool_))


def add(ring: Ring, state: Episodes, row: Array, ended: Array) -> Episodes:
    """A step of each environment was written to this row."""
    envs = np.arange(ring.num_envs, dtype=np.int32)
    running = jnp.where(state.ended, row, state.running)
    first, newest = state.first.at[row].set(running), state.newest.at[running, envs].set(row)
    return Episodes(first, newest, running, ended)


def cut(state: Episodes, which: Array) -> Episodes:
    """The running episodes of these environments end here."""
    return state._replace(ended=state.ended | which)


def steps_left(state: Episodes, position: Position, head: Array, length: np.int32) -> Array:
    """Steps from each position to the newest of its episode; 0 where the episode's first row was overwritten."""
    first = state.first[position]
    age = steps_to_head(position.row, head, length)
    left = age - steps_to_head(state.newest[first, position.env], head, length)
    # A first row that is newer than the row itself was overwritten, and its entry may be another episode's.
    return jnp.where(steps_to_head(first, head, length) >= age, left, 0)


def relabel(
    goals: Goals,
    key: Key,
    state: Episodes,
    position: Position,
    head: Array,
    window: Transition,
    missing: Array,
    achieved_goal: Callable[[Position], Array],
) -> Transition:
    """Windows `[B, n, ...]`, of which a share has another goal and the rewards of that."""
    which_key, step_key = jax.random.split(jax.random.fold_in(key, GOALS))
    # The reward of a step whose successor is missing cannot be told for another goal.
    chosen = (jax.random.uniform(which_key, missing.shape) < goals.ratio) & ~missing
    steps = goals.choose(step_key, steps_left(state, position, head, goals.length))
    goal = achieved_goal(position._replace(row=later_rows(position.row, steps, goals.length)))[:, None]
    chosen = chosen[:, None]

    def with_goal(obs: dict[str, Array]) -> dict[str, Array]:
        desired = obs[DESIRED]
        return obs | {DESIRED: jnp.where(chosen[..., None], goal.astype(desired.dtype), desired)}

    next_obs = with_goal(window.next_obs)
    reward = goals.reward(next_obs[ACHIEVED], next_obs[DESIRED]).astype(window.reward.dtype)
    reward = jnp.where(chosen, reward, window.reward)
    return window._replace(obs=with_goal(window.obs), next_obs=next_obs, reward=reward)


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

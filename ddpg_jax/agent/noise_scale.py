"""The scale of exploration noise: constant, scheduled over steps, or falling with each episode.

All are values of one type. Scales are in units of half the action range, and count from the noise's
own first step: random steps before it are not theirs.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax

from ddpg_jax.config import ExplorationConfig, initial_scale
from ddpg_jax.types import Array, Tree, float_dtype

Schedule = Callable[[Array], Array | float]


class Scale(NamedTuple):
    """A scale sigma that may change while it is used.

    Attributes:
        init: `init(num_envs) -> state`.
        now: `now(state, first [N]) -> (sigma, state)`, sigma a number, or `[N, 1]` with one for each environment.
    """

    init: Callable[[int], Tree]
    now: Callable[[Tree, Array], tuple[Array | float, Tree]]


def constant_scale(stddev: Array | float) -> Scale:
    """Always the same sigma; it keeps no state.

    Args:
        stddev: sigma, in units of half the action range.
    """
    return Scale(lambda num_envs: (), lambda state, first: (stddev, state))


def scheduled_scale(schedule: Schedule) -> Scale:
    """sigma_t = schedule(t), with t the steps so far over all environments; t is the state, int32 scalar.

    Args:
        schedule: sigma as a function of t, as optax's schedules are.
    """
    return Scale(lambda num_envs: jnp.int32(0), lambda step, first: (schedule(step), step + first.shape[0]))


def episode_scale(stddev: float, rate: float, floor: float = 0.0) -> Scale:
    """Each environment's scale falls from one of its episodes to the next.

    sigma_t = max(floor, stddev rate^episode), where `episode` counts the environment's episodes before the
    running one; it is the state, int32 `[N]`, -1 before the first step.

    Args:
        stddev: sigma of the first episode, in units of half the action range.
        rate: factor from one episode to the next.
        floor: what sigma does not fall below.
    """

    def now(episode: Array, first: Array) -> tuple[Array, Array]:
        # Not below 0: where random steps end in the middle of an episode, that one is the first.
        episode = jnp.maximum(episode + first, 0)
        sigma = jnp.maximum(floor, stddev * jnp.asarray(rate, float_dtype()) ** episode)
        return sigma[:, None], episode

    return Scale(lambda num_envs: jnp.full(num_envs, -1, jnp.int32), now)


def as_scale(value: float | Schedule | Scale) -> Scale:
    """A number, a schedule over steps, or a scale, as a scale."""
    if isinstance(value, Scale):
        return value
    return scheduled_scale(value) if callable(value) else constant_scale(value)


def make_scale(config: ExplorationConfig) -> Scale:
    """The scale of the noise on actions that the settings name."""
    return decaying_scale(config.stddev, config.final_stddev, config)


def make_distance_scale(config: ExplorationConfig) -> Scale:
    """The scale of parameter noise, in its effect on actions; it falls in proportion to that of other noise, if any."""
    final, (_, initial) = config.final_stddev, initial_scale(config)
    return decaying_scale(config.parameter_noise, final and final * config.parameter_noise / initial, config)


def decaying_scale(stddev: float, final: float | None, config: ExplorationConfig) -> Scale:
    """A scale that starts at one value and decays to another as the settings say."""
    if config.decay_steps and final is not None:
        return scheduled_scale(optax.linear_schedule(stddev, final, config.decay_steps))
    if config.decay_rate < 1:
        return episode_scale(stddev, config.decay_rate, final or 0.0)
    return constant_scale(stddev)

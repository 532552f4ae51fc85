"""How actions depart from the greedy policy while collecting: every way is one value of one type.

Noise is in units of half the action range, and the result is clipped to [-1, 1]. What is built around
another exploration adds its noise to the action of that one.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.acting import Act, as_exploration, no_state
from ddpg_jax.agent.acting import Exploration as Exploration
from ddpg_jax.agent.acting import greedy as greedy
from ddpg_jax.agent.noise_scale import Scale, Schedule, as_scale, make_distance_scale, make_scale
from ddpg_jax.agent.parameter_noise import parameter_noise
from ddpg_jax.config import ExplorationConfig, validate
from ddpg_jax.types import Array, Key, Tree, float_dtype


class GaussianState(NamedTuple):
    """State of Gaussian noise: that of its scale, and that of the policy whose actions get the noise."""

    scale: Tree
    policy: Tree


class OUState(NamedTuple):
    """State of Ornstein-Uhlenbeck noise: that of its scale, the process x `[N, A]`, and that of the policy."""

    scale: Tree
    noise: Array
    policy: Tree


class SmoothingState(NamedTuple):
    """State of smoothing: the action before `[N, A]`, whether there was one, and the state of what is smoothed."""

    action: Array
    acted: Array
    inner: Tree


def uniform(action_dim: int) -> Exploration:
    """Uniform random actions, whatever the observation; any state is handed through unchanged.

    Args:
        action_dim: number of action dimensions A.
    """

    def act(key: Key, state: Tree, params: Tree, obs: Tree, first: Array) -> tuple[Array, Tree]:
        return jax.random.uniform(key, (first.shape[0], action_dim), float_dtype(), -1, 1), state

    return Exploration(no_state, act)


def gaussian(policy: Act | Exploration, stddev: float | Schedule | Scale) -> Exploration:
    """Independent noise on each dimension: a = clip(mu(s) + sigma N(0, 1), -1, 1).

    Args:
        policy: `policy(actor_params, obs) -> action`, or an exploration that acts in its place.
        stddev: sigma in units of half the action range, a schedule of it over environment steps, or a `Scale`.

    Source: Fujimoto et al. (2018), algorithm 1.
    """
    base, scale = as_exploration(policy), as_scale(stddev)

    def init(key: Key, params: Tree, num_envs: int) -> GaussianState:
        return GaussianState(scale.init(num_envs), base.init(key, params, num_envs))

    def act(key: Key, state: GaussianState, params: Tree, obs: Tree, first: Array) -> tuple[Array, GaussianState]:
        action, policy_state = base.act(key, state.policy, params, obs, first)
        sigma, scale_state = scale.now(state.scale, first)
        noise = sigma * jax.random.normal(key, action.shape, action.dtype)
        return jnp.clip(action + noise, -1, 1), GaussianState(scale_state, policy_state)

    return Exploration(init, act)


def ornstein_uhlenbeck(
    policy: Act | Exploration,
    action_dim: int,
    stddev: float | Schedule | Scale,
    theta: float = 0.15,
    dt: float = 1.0,
    mean: float = 0.0,
) -> Exploration:
    """Noise with a memory, one process for each environment, at its mean where an episode starts.

    x <- x + theta (mean - x) dt + sigma sqrt(dt) N(0, 1);  a = clip(mu(s) + x, -1, 1)

    The stationary standard deviation is sigma / sqrt(theta (2 - theta dt)), and the memory about
    1 / (theta dt) steps.

    Args:
        policy: `policy(actor_params, obs) -> action`, or an exploration that acts in its place.
        action_dim: number of action dimensions A.
        stddev: sigma in units of half the action range, a schedule of it over environment steps, or a `Scale`.
        theta: rate of return to the mean.
        dt: time step of the process.
        mean: where the process returns to.

    Source: Uhlenbeck and Ornstein (1930); Lillicrap et al. (2015), section 7.
    """
    base, scale = as_exploration(policy), as_scale(stddev)

    def init(key: Key, params: Tree, num_envs: int) -> OUState:
        noise = jnp.full((num_envs, action_dim), mean, float_dtype())
        return OUState(scale.init(num_envs), noise, base.init(key, params, num_envs))

    def act(key: Key, state: OUState, params: Tree, obs: Tree, first: Array) -> tuple[Array, OUState]:
        action, policy_state = base.act(key, state.policy, params, obs, first)
        sigma, scale_state = scale.now(state.scale, first)
        x = jnp.where(first[:, None], mean, state.noise)
        noise = sigma * dt**0.5 * jax.random.normal(key, action.shape, action.dtype)
        x = x + theta * (mean - x) * dt + noise
        return jnp.clip(action + x, -1, 1), OUState(scale_state, x, policy_state)

    return Exploration(init, act)


def smoothed(policy: Act | Exploration, action_dim: int, share: float) -> Exploration:
    """Each action with a share of the one before it: a <- (1 - c) a + c a_prev.

    a_prev is the smoothed action of the step before; the first action of an episode has none and stays as it is.

    Args:
        policy: what chooses the actions.
        action_dim: number of action dimensions A.
        share: c, in [0, 1).
    """
    base = as_exploration(policy)

    def init(key: Key, params: Tree, num_envs: int) -> SmoothingState:
        no_action = jnp.zeros((num_envs, action_dim), float_dtype())
        return SmoothingState(no_action, jnp.bool_(False), base.init(key, params, num_envs))

    def act(key: Key, state: SmoothingState, params: Tree, obs: Tree, first: Array) -> tuple[Array, SmoothingState]:
        action, inner = base.act(key, state.inner, params, obs, first)
        has_no_previous = first | ~state.acted
        action += jnp.where(has_no_previous[:, None], 0, share * (state.action - action))
        return action, SmoothingState(action, jnp.bool_(True), inner)

    return Exploration(init, act)


def make_exploration(policy: Act, action_dim: int, config: ExplorationConfig) -> Exploration:
    """The exploration that the settings name: parameter noise, then noise on its actions, then smoothing.

    Args:
        policy: `policy(actor_params, obs [N, O]) -> action [N, A]` in [-1, 1], greedy; `Agent.act` is one.
        action_dim: number of action dimensions A.
        config: the settings.

    Raises:
        ConfigError: naming every setting that cannot be used.
    """
    validate(config)
    base = parameter_noise(policy, make_distance_scale(config)) if config.parameter_noise else greedy(policy)
    kinds: dict[str, Callable[[], Exploration]] = {
        "gaussian": lambda: gaussian(base, make_scale(config)),
        "ou": lambda: ornstein_uhlenbeck(base, action_dim, make_scale(config), config.theta, config.dt),
        "uniform": lambda: uniform(action_dim),
        "greedy": lambda: base,
    }
    exploration = kinds[config.kind]()
    return smoothed(exploration, action_dim, config.smoothing) if config.smoothing else exploration

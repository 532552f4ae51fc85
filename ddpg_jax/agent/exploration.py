"""How actions depart from the greedy policy while collecting: every way is one value of one type.

Noise is in units of half the action range, and the result is clipped to [-1, 1].
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.config import ExplorationConfig, validate
from ddpg_jax.types import Array, Key, Tree, float_dtype

Act = Callable[[Tree, Tree], Array]
Schedule = Callable[[Array], Array | float]


class Exploration(NamedTuple):
    """A way to explore.

    Attributes:
        init: `init(key, actor_params, num_envs) -> state`.
        act: `act(key, state, actor_params, obs [N, O], first [N]) -> (action [N, A], state)`, where
            `first` marks the environments in which an episode starts.
    """

    init: Callable[[Key, Tree, int], Tree]
    act: Callable[[Key, Tree, Tree, Tree, Array], tuple[Array, Tree]]


class NoiseState(NamedTuple):
    """State of Gaussian noise: environment steps so far, int32 scalar."""

    step: Array


class OUState(NamedTuple):
    """State of Ornstein-Uhlenbeck noise: environment steps so far, and the process x, `[N, A]`."""

    step: Array
    noise: Array


def no_state(key: Key, params: Tree, num_envs: int) -> tuple[()]:
    """The state of an exploration that keeps none."""
    return ()


def uniform(action_dim: int) -> Exploration:
    """Uniform random actions, whatever the observation; any state is handed through unchanged.

    Args:
        action_dim: number of action dimensions A.
    """

    def act(key: Key, state: Tree, params: Tree, obs: Tree, first: Array) -> tuple[Array, Tree]:
        return jax.random.uniform(key, (first.shape[0], action_dim), float_dtype(), -1, 1), state

    return Exploration(no_state, act)


def greedy(policy: Act) -> Exploration:
    """The policy itself: a = mu(s).

    Args:
        policy: `policy(actor_params, obs) -> action`.
    """

    def act(key: Key, state: Tree, params: Tree, obs: Tree, first: Array) -> tuple[Array, Tree]:
        return policy(params, obs), state

    return Exploration(no_state, act)


def gaussian(policy: Act, stddev: float | Schedule) -> Exploration:
    """Independent noise on each dimension: a = clip(mu(s) + sigma N(0, 1), -1, 1).

    Args:
        policy: `policy(actor_params, obs) -> action`.
        stddev: sigma in units of half the action range, or a schedule of it over environment steps.

    Source: Fujimoto et al. (2018), algorithm 1.
    """
    sigma = as_schedule(stddev)

    def init(key: Key, params: Tree, num_envs: int) -> NoiseState:
        return NoiseState(jnp.int32(0))

    def act(key: Key, state: NoiseState, params: Tree, obs: Tree, first: Array) -> tuple[Array, NoiseState]:
        action = policy(params, obs)
        noise = sigma(state.step) * jax.random.normal(key, action.shape, action.dtype)
        return jnp.clip(action + noise, -1, 1), NoiseState(state.step + first.shape[0])

    return Exploration(init, act)


def ornstein_uhlenbeck(
    policy: Act, action_dim: int, stddev: float | Schedule, theta: float = 0.15, dt: float = 1.0, mean: float = 0.0
) -> Exploration:
    """Noise with a memory, one process for each environment, at its mean where an episode starts.

    x <- x + theta (mean - x) dt + sigma sqrt(dt) N(0, 1);  a = clip(mu(s) + x, -1, 1)

    The stationary standard deviation is sigma / sqrt(theta (2 - theta dt)), and the memory about
    1 / (theta dt) steps.

    Args:
        policy: `policy(actor_params, obs) -> action`.
        action_dim: number of action dimensions A.
        stddev: sigma in units of half the action range, or a schedule of it over environment steps.
        theta: rate of return to the mean.
        dt: time step of the process.
        mean: where the process returns to.

    Source: Uhlenbeck and Ornstein (1930); Lillicrap et al. (2015), section 7.
    """
    sigma = as_schedule(stddev)

    def init(key: Key, params: Tree, num_envs: int) -> OUState:
        return OUState(jnp.int32(0), jnp.full((num_envs, action_dim), mean, float_dtype()))

    def act(key: Key, state: OUState, params: Tree, obs: Tree, first: Array) -> tuple[Array, OUState]:
        action = policy(params, obs)
        x = jnp.where(first[:, None], mean, state.noise)
        shock = sigma(state.step) * dt**0.5 * jax.random.normal(key, action.shape, action.dtype)
        x = x + theta * (mean - x) * dt + shock
        return jnp.clip(action + x, -1, 1), OUState(state.step + first.shape[0], x)

    return Exploration(init, act)


def make_exploration(policy: Act, action_dim: int, config: ExplorationConfig) -> Exploration:
    """The exploration that the settings name.

    Raises:
        ConfigError: naming every setting that cannot be used.
    """
    validate(config)
    stddev: float | Schedule = config.stddev
    if config.final_stddev is not None:
        stddev = optax.linear_schedule(config.stddev, config.final_stddev, config.decay_steps)
    kinds: dict[str, Callable[[], Exploration]] = {
        "gaussian": lambda: gaussian(policy, stddev),
        "ou": lambda: ornstein_uhlenbeck(policy, action_dim, stddev, config.theta, config.dt),
        "uniform": lambda: uniform(action_dim),
        "greedy": lambda: greedy(policy),
    }
    return kinds[config.kind]()


def as_schedule(value: float | Schedule) -> Schedule:
    """A number as the schedule that is always that number."""
    return value if callable(value) else lambda step: value

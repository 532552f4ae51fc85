"""What an environment shows and takes, as it does so itself: what `EnvSpec` does not keep of its spaces."""

from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.config import Config
from ddpg_jax.envs.gymnasium.spaces import read_spec
from ddpg_jax.envs.gymnasium.worker import close
from ddpg_jax.envs.suites import find_suite, load
from ddpg_jax.runs.environments import make_env, make_one_env
from ddpg_jax.types import EnvSpec, Tree


class Spaces(NamedTuple):
    """The two sides of an exported policy.

    What is said of observations has the structure of `spec.obs`: of a Dict, it is a dict.

    Attributes:
        spec: the spaces as the agent knows them.
        obs_dtype: the environment's own; `spec.obs` holds the one that JAX keeps of it.
        obs_low: lower bound of each number of an observation, `[*obs shape]`.
        obs_high: upper bound of it, `[*obs shape]`.
        action_shape: of one action; the agent's are vectors `[A]`.
        action_dtype: of the actions that an exported policy gives, whatever the environment's own.
    """

    spec: EnvSpec
    obs_dtype: Tree
    obs_low: Tree
    obs_high: Tree
    action_shape: tuple[int, ...]
    action_dtype: np.dtype = np.dtype(np.float32)


def read_spaces(config: Config) -> Spaces:
    """The spaces of a run's environment.

    Raises:
        EnvError: if it cannot be made, or DDPG cannot use its spaces.
    """
    suite = find_suite(config.env)
    if suite and not suite.registers:
        spec = make_env(config).spec  # says what is missing
        return from_spaces(spec, *load(suite, config.env).spaces(suite.name(config.env), config.env_kwargs))
    env = make_one_env(config, config.env)
    try:
        return from_spaces(read_spec(env), env.observation_space, env.action_space)
    finally:
        close(env)


def from_spaces(spec: EnvSpec, obs_space: Any, action_space: Any) -> Spaces:
    """Put together what a specification and the two spaces that it is of say."""
    boxes = boxes_of(spec.obs, obs_space)

    def bound(name: str) -> Tree:
        return jax.tree.map(lambda leaf, box: np.broadcast_to(getattr(box, name), leaf.shape), spec.obs, boxes)

    dtype = jax.tree.map(lambda box: np.dtype(box.dtype), boxes)
    return Spaces(spec, dtype, bound("low"), bound("high"), tuple(action_space.shape))


def boxes_of(obs: Tree, space: Any) -> Tree:
    """The Box of each leaf of an observation."""
    return {key: boxes_of(part, space.spaces[key]) for key, part in obs.items()} if isinstance(obs, dict) else space


def inner_bounds(spec: EnvSpec) -> tuple[np.ndarray, np.ndarray]:
    """The outermost float32 actions `[A]` that are within the bounds; the one nearest to 0.1 is above it."""
    low, high = spec.action_low.astype(np.float32), spec.action_high.astype(np.float32)
    return (
        np.where(low < spec.action_low, np.nextafter(low, np.float32(np.inf)), low),
        np.where(high > spec.action_high, np.nextafter(high, np.float32(-np.inf)), high),
    )

"""What an environment shows and takes, as it does so itself: what `EnvSpec` does not keep of its spaces."""

from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax import envs
from ddpg_jax.config import ConfigError
from ddpg_jax.types import EnvSpec

# A dimension whose bounds lie further apart is drawn as one without: nothing ever comes near them.
WIDE = 2**16


class Spaces(NamedTuple):
    """The two sides of an exported policy.

    Attributes:
        spec: the spaces as the agent knows them.
        obs_dtype: the environment's own; `spec.obs.dtype` is the one JAX keeps of it.
        obs_low: lower bound of each number of an observation, `[*obs shape]`.
        obs_high: upper bound of it, `[*obs shape]`.
        action_shape: of one action; the agent's are vectors `[A]`.
        action_dtype: of the actions that an exported policy gives, whatever the environment's own.
    """

    spec: EnvSpec
    obs_dtype: np.dtype
    obs_low: np.ndarray
    obs_high: np.ndarray
    action_shape: tuple[int, ...]
    action_dtype: np.dtype = np.dtype(np.float32)


def read_spaces(env_id: str) -> Spaces:
    """The spaces of a registered environment.

    Raises:
        EnvError: if it cannot be made, or DDPG cannot use its spaces.
        ConfigError: if its observations are a Dict.
    """
    if env_id.startswith(envs.GYMNAX):
        spec = envs.make(env_id).spec  # says what is missing
        import gymnax

        world, params = gymnax.make(env_id.removeprefix(envs.GYMNAX))
        return from_boxes(spec, world.observation_space(params), world.action_space(params))
    # Gymnasium is needed only by who uses it.
    from ddpg_jax.envs.gymnasium import make_one
    from ddpg_jax.envs.spaces import read_spec

    with closing(make_one(env_id)) as env:
        spec = read_spec(env)
        if isinstance(spec.obs, dict):
            raise ConfigError(
                f"{env_id} shows a Dict of {', '.join(spec.obs)}, and an exported policy maps one array to actions: "
                "train on the environment in gymnasium.wrappers.FlattenObservation, registered under an id of its "
                "own, or export agent.act yourself with jax.export"
            )
        return from_boxes(spec, env.observation_space, env.action_space)


def from_boxes(spec: EnvSpec, obs_space: Any, action_space: Any) -> Spaces:
    """Put together what a specification and two Boxes say."""
    low, high = (np.broadcast_to(np.asarray(bound), spec.obs.shape) for bound in (obs_space.low, obs_space.high))
    return Spaces(spec, np.dtype(obs_space.dtype), low, high, tuple(action_space.shape))


def draw_observations(rng: np.random.Generator, spaces: Spaces, count: int) -> np.ndarray:
    """Random observations `[count, *obs shape]`: uniform between the bounds, standard normal where there are none."""
    low, high = spaces.obs_low.astype(float), spaces.obs_high.astype(float)
    with np.errstate(over="ignore"):
        bounded = high - low <= WIDE
    shape = (count, *spaces.spec.obs.shape)
    uniform = rng.uniform(np.where(bounded, low, 0), np.where(bounded, high, 0), shape)
    obs = np.where(bounded, uniform, rng.standard_normal(shape)).clip(low, high)
    return (obs if np.issubdtype(spaces.obs_dtype, np.floating) else np.rint(obs)).astype(spaces.obs_dtype)


def inner_bounds(spec: EnvSpec) -> tuple[np.ndarray, np.ndarray]:
    """The outermost float32 actions `[A]` that are within the bounds; the one nearest to 0.1 is above it."""
    low, high = spec.action_low.astype(np.float32), spec.action_high.astype(np.float32)
    return (
        np.where(low < spec.action_low, np.nextafter(low, np.float32(np.inf)), low),
        np.where(high > spec.action_high, np.nextafter(high, np.float32(-np.inf)), high),
    )

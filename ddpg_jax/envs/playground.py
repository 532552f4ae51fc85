"""MuJoCo Playground's environments as an `Env`: `playground/CheetahRun`."""

from collections.abc import Collection
from typing import Any

import gymnasium
from mujoco_playground import registry

from ddpg_jax.envs.brax_film import FilmedEnv
from ddpg_jax.envs.brax_interface import from_brax, unbounded_spaces
from ddpg_jax.envs.protocol import Env, EnvError


def make(name: str, num_envs: int = 1, max_steps: int | None = None) -> Env:
    """N copies of an environment of MuJoCo Playground.

    Args:
        name: Playground's own, "CheetahRun" for one.
        num_envs: N.
        max_steps: after which an episode is truncated, if its own limit is not below.

    Raises:
        EnvError: if there is no such environment.
    """
    world, episode_length = load(name)
    limit = episode_length if max_steps is None else min(max_steps, episode_length)
    return from_brax(world, limit, num_envs)


def load(name: str) -> tuple[Any, int]:
    """An environment, and the steps after which its episodes are truncated.

    Raises:
        EnvError: if there is none of that name.
    """
    if name not in names():
        raise EnvError(f"MuJoCo Playground has no environment {name!r}; it has {', '.join(names())}")
    config = registry.get_default_config(name)
    if "impl" in config:
        config.impl = "jax"  # its physics in Warp need a GPU of NVIDIA's
    return registry.load(name, config), config.episode_length


def film(name: str) -> gymnasium.Env:
    """One environment that draws itself, for films."""
    world, episode_length = load(name)
    return FilmedEnv(world, episode_length, world.mj_model, lambda state: (state.data.qpos, state.data.qvel))


def names() -> Collection[str]:
    """The names of its environments."""
    return registry.ALL_ENVS


def spaces(name: str) -> tuple[Any, Any]:
    """The observation space and the action space of an environment."""
    return unbounded_spaces(make(name).spec)

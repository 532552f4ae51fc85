"""MuJoCo Playground's environments as an `Env`: `playground/CheetahRun`."""

from collections.abc import Collection, Mapping
from typing import Any

import gymnasium
from mujoco_playground import registry

from ddpg_jax.envs.brax_film import FilmedEnv
from ddpg_jax.envs.brax_interface import from_brax, unbounded_spaces
from ddpg_jax.envs.protocol import Env, EnvError


def make(
    name: str,
    num_envs: int = 1,
    max_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
) -> Env:
    """N copies of an environment of MuJoCo Playground.

    Args:
        name: Playground's own, "CheetahRun" for one.
        num_envs: N.
        max_steps: after which an episode is truncated, if its own limit is not below.
        env_kwargs: settings in place of its default ones, as `{"action_repeat": 2}` or `{"reward.scale": 2.0}`.
        max_episode_steps: its limit, in place of its own.

    Raises:
        EnvError: if there is no such environment, or it has no such setting.
    """
    world, own = load(name, env_kwargs)
    episode_length = own if max_episode_steps is None else max_episode_steps
    limit = episode_length if max_steps is None else min(max_steps, episode_length)
    return from_brax(world, limit, num_envs)


def load(name: str, env_kwargs: Mapping[str, Any] | None = None) -> tuple[Any, int]:
    """An environment, and the steps after which its episodes are truncated.

    Raises:
        EnvError: if there is none of that name, or it has no such setting.
    """
    if name not in names():
        raise EnvError(f"MuJoCo Playground has no environment {name!r}; it has {', '.join(names())}")
    config = registry.get_default_config(name)
    if "impl" in config:
        config.impl = "jax"  # its physics in Warp need a GPU of NVIDIA's
    try:
        config.update_from_flattened_dict(dict(env_kwargs or {}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EnvError(
            f"env_kwargs = {dict(env_kwargs or {})} do not fit playground/{name} ({error}); its settings are "
            f"{', '.join(config)}"
        ) from error
    return registry.load(name, config), config.episode_length


def film(name: str, env_kwargs: Mapping[str, Any] | None = None) -> gymnasium.Env:
    """One environment that draws itself, for films."""
    world, episode_length = load(name, env_kwargs)
    return FilmedEnv(world, episode_length, world.mj_model, lambda state: (state.data.qpos, state.data.qvel))


def names() -> Collection[str]:
    """The names of its environments."""
    return registry.ALL_ENVS


def spaces(name: str, env_kwargs: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """The observation space and the action space of an environment."""
    return unbounded_spaces(make(name, env_kwargs=env_kwargs).spec)

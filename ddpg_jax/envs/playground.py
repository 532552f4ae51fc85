"""MuJoCo Playground's environments as an `Env`: `playground/CheetahRun`."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import gymnasium
from mujoco_playground import registry

from ddpg_jax.config import nearest
from ddpg_jax.envs.brax_film import FilmedEnv
from ddpg_jax.envs.brax_interface import from_brax, unbounded_spaces
from ddpg_jax.envs.protocol import Env, EnvError, episode_limit


class Task(NamedTuple):
    """An environment, and what MuJoCo Playground leaves to who trains in it.

    Attributes:
        world: the environment.
        episode_length: steps after which an episode is truncated.
        action_repeat: steps for which an action is held.
    """

    world: Any
    episode_length: int
    action_repeat: int


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
    task = load(name, env_kwargs)
    limit = episode_limit(task.episode_length, max_episode_steps, max_steps)
    return from_brax(task.world, limit, num_envs, task.action_repeat)


def load(name: str, env_kwargs: Mapping[str, Any] | None = None) -> Task:
    """An environment with settings of a person's own.

    Raises:
        EnvError: if there is none of that name, or it has no such setting.
    """
    if name not in names():
        raise EnvError(f"MuJoCo Playground has no environment {name!r}; it has {', '.join(names())}")
    config, changes = registry.get_default_config(name), dict(env_kwargs or {})
    if "impl" in config:
        config.impl = "jax"  # its physics in Warp need a GPU of NVIDIA's
    for setting in changes:
        if setting not in (known := list(settings_of(config))):
            raise EnvError(f"env_kwargs.{setting} is no setting of playground/{name}; {nearest(setting, known)}")
    try:
        config.update_from_flattened_dict(changes)
    except (TypeError, ValueError) as error:
        raise EnvError(f"env_kwargs = {changes} do not fit playground/{name}: {error}") from error
    return Task(registry.load(name, config), config.episode_length, config.get("action_repeat", 1))


def settings_of(config: Any, prefix: str = "") -> Iterator[str]:
    """Names of all settings, nested ones joined by a dot."""
    for name, value in config.items():
        if hasattr(value, "items"):
            yield from settings_of(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def film(name: str, env_kwargs: Mapping[str, Any] | None = None, max_episode_steps: int | None = None) -> gymnasium.Env:
    """One environment that draws itself, for films."""
    world, own, action_repeat = load(name, env_kwargs)
    limit = episode_limit(own, max_episode_steps, None)
    pose = lambda state: (state.data.qpos, state.data.qvel)  # noqa: E731
    return FilmedEnv(world, limit, world.mj_model, pose, action_repeat)


def names() -> Collection[str]:
    """The names of its environments."""
    return registry.ALL_ENVS


def spaces(name: str, env_kwargs: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """The observation space and the action space of an environment."""
    return unbounded_spaces(make(name, env_kwargs=env_kwargs).spec)

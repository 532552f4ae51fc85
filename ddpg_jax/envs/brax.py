"""brax's environments as an `Env`: `brax/ant`."""

from collections.abc import Collection, Mapping
from typing import Any

import gymnasium
from brax import envs as brax_envs

from ddpg_jax.envs.brax_film import FilmedEnv
from ddpg_jax.envs.brax_interface import from_brax, unbounded_spaces
from ddpg_jax.envs.protocol import Env, EnvError, episode_limit

# brax has this limit in its training, and none in its environments.
EPISODE_LENGTH = 1_000


def make(
    name: str,
    num_envs: int = 1,
    max_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
) -> Env:
    """N copies of an environment of brax.

    Args:
        name: brax's own, "ant" for one.
        num_envs: N.
        max_steps: after which an episode is truncated, if the limit is not below.
        env_kwargs: arguments of the environment, as `{"backend": "spring"}`.
        max_episode_steps: the limit, in place of 1,000 steps.

    Raises:
        EnvError: if there is no such environment, or it does not take these arguments.
    """
    return from_brax(load(name, env_kwargs), episode_limit(EPISODE_LENGTH, max_episode_steps, max_steps), num_envs)


def load(name: str, env_kwargs: Mapping[str, Any] | None = None) -> Any:
    """An environment.

    Raises:
        EnvError: if there is none of that name, or it does not take these arguments.
    """
    if name not in names():
        raise EnvError(f"brax has no environment {name!r}; it has {', '.join(names())}")
    try:
        return brax_envs.get_environment(name, **env_kwargs or {})
    except (TypeError, ValueError, KeyError) as error:
        raise EnvError(f"brax/{name} cannot be made with env_kwargs = {dict(env_kwargs or {})}: {error}") from error


def film(name: str, env_kwargs: Mapping[str, Any] | None = None, max_episode_steps: int | None = None) -> gymnasium.Env:
    """One environment that draws itself, for films."""
    world, limit = load(name, env_kwargs), episode_limit(EPISODE_LENGTH, max_episode_steps, None)
    return FilmedEnv(world, limit, world.sys.mj_model, lambda state: (state.pipeline_state.q, state.pipeline_state.qd))


def names() -> Collection[str]:
    """The names of its environments."""
    return brax_envs._envs


def spaces(name: str, env_kwargs: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """The observation space and the action space of an environment."""
    return unbounded_spaces(make(name, env_kwargs=env_kwargs).spec)

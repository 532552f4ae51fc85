"""brax's environments as an `Env`: `brax/ant`."""

from collections.abc import Collection
from typing import Any

import gymnasium
from brax import envs as brax_envs

from ddpg_jax.envs.brax_film import FilmedEnv
from ddpg_jax.envs.brax_interface import from_brax, unbounded_spaces
from ddpg_jax.envs.protocol import Env, EnvError

# brax has this limit in its training, and none in its environments.
EPISODE_LENGTH = 1_000


def make(name: str, num_envs: int = 1, max_steps: int | None = None) -> Env:
    """N copies of an environment of brax.

    Args:
        name: brax's own, "ant" for one.
        num_envs: N.
        max_steps: after which an episode is truncated; 1,000 at most.

    Raises:
        EnvError: if there is no such environment.
    """
    world = load(name)
    limit = EPISODE_LENGTH if max_steps is None else min(max_steps, EPISODE_LENGTH)
    return from_brax(world, limit, num_envs)


def load(name: str) -> Any:
    """An environment.

    Raises:
        EnvError: if there is none of that name.
    """
    if name not in names():
        raise EnvError(f"brax has no environment {name!r}; it has {', '.join(names())}")
    return brax_envs.get_environment(name)


def film(name: str) -> gymnasium.Env:
    """One environment that draws itself, for films."""
    world = load(name)
    model = world.sys.mj_model
    return FilmedEnv(world, EPISODE_LENGTH, model, lambda state: (state.pipeline_state.q, state.pipeline_state.qd))


def names() -> Collection[str]:
    """The names of its environments."""
    return brax_envs._envs


def spaces(name: str) -> tuple[Any, Any]:
    """The observation space and the action space of an environment."""
    return unbounded_spaces(make(name).spec)

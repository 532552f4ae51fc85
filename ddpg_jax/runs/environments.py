"""The environments of a run, as its settings describe them."""

import gymnasium

from ddpg_jax import envs
from ddpg_jax.config import Config
from ddpg_jax.envs.gymnasium import make_one
from ddpg_jax.envs.protocol import Env


def make_env(config: Config, num_envs: int = 1, max_steps: int | None = None) -> Env:
    """N environments of a run.

    Args:
        config: its settings.
        num_envs: N.
        max_steps: after which an episode is truncated that has not ended by itself.

    Raises:
        EnvError: if they cannot be made or used.
    """
    return envs.make(
        config.env,
        num_envs,
        config.env_timeout,
        max_steps,
        config.env_kwargs,
        config.wrappers,
        config.max_episode_steps,
    )


def make_one_env(config: Config, env_id: str, render_mode: str | None = None) -> gymnasium.Env:
    """One environment of Gymnasium's, to be stepped from Python.

    Args:
        config: settings of a run.
        env_id: its own environment, or another in the same wrappers; what that one is called with is not said.
        render_mode: how it is to draw.

    Raises:
        EnvError: if it cannot be made or used.
    """
    env_kwargs = config.env_kwargs if env_id == config.env else {}
    limit = config.max_episode_steps
    return make_one(env_id, env_kwargs, config.wrappers, max_episode_steps=limit, render_mode=render_mode)

"""Gymnasium's environments as an `Env`: stepped on the host, called from inside the compiled loop."""

from ddpg_jax.envs.gymnasium.bridge import episode_seed, from_factory, make
from ddpg_jax.envs.gymnasium.making import make_one

__all__ = ["episode_seed", "from_factory", "make", "make_one"]

"""Environments whose every transition, or whose value, is known beforehand."""

from collections.abc import Callable

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax import Env, EnvSpec, Timestep


def probe(
    reward: Callable, length: int = 1, obs: Callable = lambda time, sign: 0.0 * time, truncates: bool = False
) -> Callable[..., Env]:
    """A compiled world: `reward(obs, action)`, episodes of a fixed length, an end of one kind.

    `obs(time, sign)` makes the observation from the step in the episode and a sign drawn at its start.
    """
    spec = EnvSpec(jax.ShapeDtypeStruct((1,), jnp.float32), np.array([-1.0]), np.array([1.0]))

    def observe(state):
        return jnp.stack([jnp.asarray(obs(*state), jnp.float32)], axis=-1)

    def make(num_envs: int = 1) -> Env:
        def draw(key):
            return jnp.where(jax.random.bernoulli(key, shape=(num_envs,)), 1.0, -1.0)

        def reset(key):
            state = (jnp.zeros(num_envs), draw(key))
            return state, observe(state)

        def step(key, state, action):
            time, sign = state
            value = jnp.asarray(reward(observe(state)[:, 0], action[:, 0]), jnp.float32)
            over = time + 1 >= length
            successor = (time + 1, sign)
            begun = (jnp.where(over, 0, time + 1), jnp.where(over, draw(key), sign))
            never = jnp.zeros(num_envs, bool)
            ends = (never, over) if truncates else (over, never)
            return begun, observe(begun), Timestep(value, *ends, observe(successor), jnp.bool_(True))

        return Env(spec, num_envs, reset, step)

    return make


class Scripted(gymnasium.Env):
    """A world that says in its observation who it is: [seed, episode step], with ends by script.

    The episode ends at `3 + seed % 3` steps: by termination, truncation or both at once, by `seed % 3`.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(np.array([-1.0, 0.0]), np.array([3.0, 0.5]), dtype=np.float64)

    def reset(self, *, seed=None, options=None):
        self.episode, self.time = seed % 1000, 0
        return self.observe(), {}

    def observe(self):
        return np.array([self.episode, self.time], np.float64)

    def step(self, action):
        self.action = action
        self.time += 1
        over = self.time >= 3 + self.episode % 3
        terminated, truncated = over and self.episode % 3 != 1, over and self.episode % 3 != 0
        return self.observe(), self.time + float(action.sum()), terminated, truncated, {}

"""Compiled environments: who begins a new episode, and who goes on."""

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.envs import gymnax


def test_only_the_environment_whose_episode_ended_begins_anew():
    env = gymnax.make("Pendulum-v1", 2)
    state, _ = env.reset(jax.random.key(0))
    state = state.replace(time=jnp.array([5, 199], state.time.dtype))
    after, obs, timestep = jax.jit(env.step)(jax.random.key(1), state, jnp.zeros((2, 1)))
    assert timestep.truncated.tolist() == [False, True]
    assert after.time.tolist() == [6, 0]
    np.testing.assert_array_equal(obs[0], timestep.next_obs[0])
    assert np.abs(obs[1] - timestep.next_obs[1]).max() > 1e-3

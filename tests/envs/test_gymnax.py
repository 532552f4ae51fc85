"""Compiled environments: who begins a new episode, and who goes on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax import envs
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


def test_parameters_and_the_limit_are_those_that_are_given():
    _, params = gymnax.make_world("Pendulum-v1", {"g": 5, "max_torque": 1.5}, 20)
    assert (params.g, params.max_torque, params.max_steps_in_episode) == (5, 1.5, 20)
    assert params.m == gymnax.make_world("Pendulum-v1")[1].m
    env = envs.make("gymnax/Pendulum-v1", env_kwargs={"max_torque": 1.5}, max_episode_steps=300, max_steps=250)
    assert (env.spec.action_low.tolist(), env.spec.action_high.tolist()) == ([-1.5], [1.5])
    state, _ = env.reset(jax.random.key(0))
    state = state.replace(time=jnp.array([249], state.time.dtype))
    assert env.step(jax.random.key(1), state, jnp.zeros((1, 1)))[2].truncated.tolist() == [True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_torq": 1.0}, "env_kwargs.max_torq is no parameter of gymnax/Pendulum-v1; did you mean 'max_torque'?"),
        ({"g": "high"}, "env_kwargs.g = 'high' must be float"),
        ({"g": [1]}, r"env_kwargs.g = \[1\] must be float"),
    ],
)
def test_what_is_no_parameter_is_refused(given, message):
    with pytest.raises(envs.EnvError, match=message):
        envs.make("gymnax/Pendulum-v1", env_kwargs=given)

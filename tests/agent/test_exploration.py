"""Every way to explore keeps one contract; each has the statistics that its equation gives."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.agent.exploration import gaussian, make_exploration, ornstein_uhlenbeck, uniform
from ddpg_jax.config import ConfigError, ExplorationConfig

NUM_ENVS, ACTION_DIM = 5, 3
PARAMS = jnp.eye(ACTION_DIM)
OBS = 3 * jax.random.normal(jax.random.key(9), (NUM_ENVS, ACTION_DIM))
FIRST = jnp.array([True, False, True, False, False])

CONTRACT = {
    "gaussian": ExplorationConfig("gaussian", stddev=2.0),
    "decaying": ExplorationConfig("gaussian", stddev=2.0, final_stddev=0.5, decay_steps=40),
    "ou": ExplorationConfig("ou", stddev=2.0),
    "uniform": ExplorationConfig("uniform"),
    "greedy": ExplorationConfig("greedy"),
}


def policy(params, obs):
    return jnp.tanh(obs @ params)


def still(params, obs):
    """A policy that rests, so that the action is the noise."""
    return jnp.zeros_like(obs)


@pytest.mark.parametrize("config", CONTRACT.values(), ids=CONTRACT)
def test_every_exploration_keeps_the_contract(config):
    exploration = make_exploration(policy, ACTION_DIM, config)
    state = exploration.init(jax.random.key(0), PARAMS, NUM_ENVS)
    act = jax.jit(exploration.act)
    action, after = act(jax.random.key(1), state, PARAMS, OBS, FIRST)
    again, _ = exploration.act(jax.random.key(1), state, PARAMS, OBS, FIRST)
    assert action.shape == (NUM_ENVS, ACTION_DIM)
    assert action.dtype == jnp.float32
    np.testing.assert_allclose(action, again, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)

    def step(state, key):
        action, state = exploration.act(key, state, PARAMS, OBS, FIRST)
        return state, action

    _, actions = jax.lax.scan(step, state, jax.random.split(jax.random.key(2), 50))
    assert actions.shape == (50, NUM_ENVS, ACTION_DIM)
    assert jnp.all(jnp.abs(actions) <= 1)


@pytest.mark.parametrize("kind", ["gaussian", "ou", "uniform"])
def test_another_key_gives_another_action(kind):
    exploration = make_exploration(still, ACTION_DIM, ExplorationConfig(kind))
    state = exploration.init(jax.random.key(0), PARAMS, NUM_ENVS)
    one, two = (exploration.act(jax.random.key(seed), state, PARAMS, OBS, FIRST)[0] for seed in (1, 2))
    assert not np.any(np.asarray(one) == two)
    assert np.unique(one).size == NUM_ENVS * ACTION_DIM


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'uniform'"):
        make_exploration(policy, ACTION_DIM, ExplorationConfig(kind="unifrom"))


def test_greedy_is_the_policy_itself():
    exploration = make_exploration(policy, ACTION_DIM, ExplorationConfig("greedy"))
    np.testing.assert_array_equal(exploration.act(jax.random.key(0), (), PARAMS, OBS, FIRST)[0], policy(PARAMS, OBS))


def test_uniform_covers_the_whole_range_and_hands_any_state_through():
    state = {"mine": jnp.arange(3)}
    action, after = uniform(2).act(jax.random.key(0), state, None, None, jnp.zeros(20_000, bool))
    assert after is state
    counts, _ = np.histogram(action, bins=20, range=(-1, 1))
    np.testing.assert_allclose(counts, 2000, rtol=0.1)


def test_gaussian_noise_has_its_standard_deviation_around_the_policy():
    exploration = gaussian(lambda params, obs: obs, 0.1)
    obs = jnp.full((20_000, 2), 0.3)
    state = exploration.init(jax.random.key(0), None, 20_000)
    action, _ = exploration.act(jax.random.key(1), state, None, obs, jnp.zeros(20_000, bool))
    np.testing.assert_allclose(action.std(axis=0), 0.1, rtol=0.02)
    np.testing.assert_allclose(action.mean(axis=0), 0.3, atol=0.003)


@pytest.mark.parametrize(("theta", "dt"), [(0.15, 1.0), (0.5, 0.4)])
def test_ou_noise_has_the_stationary_spread_and_memory_of_its_equation(theta, dt):
    num_envs, sigma = 100, 0.05
    exploration = ornstein_uhlenbeck(still, 1, sigma, theta, dt)
    obs, first = jnp.zeros((num_envs, 1)), jnp.zeros(num_envs, bool)

    def step(state, key):
        action, state = exploration.act(key, state, None, obs, first)
        return state, action[:, 0]

    state = exploration.init(jax.random.key(0), None, num_envs)
    _, x = jax.jit(lambda: jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 5000)))()
    x = np.asarray(x)[200:]
    np.testing.assert_allclose(x.std(), sigma / (theta * (2 - theta * dt)) ** 0.5, rtol=0.02)
    np.testing.assert_allclose(np.mean(x[1:] * x[:-1]) / x.var(), 1 - theta * dt, rtol=0.02)
    across = np.corrcoef(x[:, 0], x[:, 1])[0, 1]
    assert abs(across) < 0.2, "environments share a process"


def test_ou_noise_starts_again_only_where_an_episode_starts():
    exploration = ornstein_uhlenbeck(still, 1, stddev=0.0, theta=0.25, mean=0.1)
    state = exploration.init(jax.random.key(0), None, 3)
    np.testing.assert_allclose(state.noise, np.full((3, 1), 0.1))
    state = state._replace(noise=jnp.full((3, 1), 0.5))
    action, state = exploration.act(jax.random.key(0), state, None, jnp.zeros((3, 1)), jnp.array([False, True, False]))
    np.testing.assert_allclose(action[:, 0], [0.4, 0.1, 0.4], rtol=1e-6)
    np.testing.assert_allclose(state.noise, action)


@pytest.mark.parametrize("kind", ["gaussian", "ou"])
def test_the_noise_decays_linearly_over_environment_steps(kind):
    config = ExplorationConfig(kind, stddev=0.04, final_stddev=0.01, decay_steps=30)
    exploration = make_exploration(still, 1, config)
    state, key, first = exploration.init(jax.random.key(0), None, 10), jax.random.key(1), jnp.ones(10, bool)
    scales = []
    for _ in range(5):  # the same key each time, so that only the scale differs
        action, state = exploration.act(key, state, None, jnp.zeros((10, 1)), first)
        scales.append(np.mean(action / jax.random.normal(key, (10, 1))))
    np.testing.assert_allclose(scales, [0.04, 0.03, 0.02, 0.01, 0.01], rtol=1e-4)
    assert state.step == 50

"""Every way to explore keeps one contract; each has the statistics that its equation gives."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.agent.exploration import gaussian, greedy, make_exploration, ornstein_uhlenbeck, smoothed, uniform
from ddpg_jax.agent.noise_scale import episode_scale
from ddpg_jax.config import ConfigError, ExplorationConfig

NUM_ENVS, ACTION_DIM = 5, 3
PARAMS = {"params": {"kernel": jnp.eye(ACTION_DIM)}}
OBS = 3 * jax.random.normal(jax.random.key(9), (NUM_ENVS, ACTION_DIM))
FIRST = jnp.array([True, False, True, False, False])

CONTRACT = {
    "gaussian": ExplorationConfig("gaussian", stddev=2.0),
    "decaying": ExplorationConfig("gaussian", stddev=2.0, final_stddev=0.5, decay_steps=40),
    "ou": ExplorationConfig("ou", stddev=2.0),
    "uniform": ExplorationConfig("uniform"),
    "greedy": ExplorationConfig("greedy"),
    "per episode": ExplorationConfig("gaussian", stddev=2.0, decay_rate=0.9),
    "ou per episode": ExplorationConfig("ou", stddev=2.0, decay_rate=0.9, final_stddev=0.5),
    "smoothed": ExplorationConfig("gaussian", stddev=2.0, smoothing=0.1),
    "smoothed uniform": ExplorationConfig("uniform", smoothing=0.5),
    "parameters": ExplorationConfig("greedy", parameter_noise=0.2),
    "all at once": ExplorationConfig("ou", stddev=2.0, decay_rate=0.9, smoothing=0.1, parameter_noise=0.2),
}


def policy(params, obs):
    return jnp.tanh(obs @ params["params"]["kernel"])


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


def test_ou_noise_of_a_small_time_step_spreads_to_0_91_and_remembers_hundreds_of_steps():
    """theta 0.15, sigma 0.5, dt 0.01: 0.5 / sqrt(0.15 (2 - 0.0015)) = 0.9132, and 0.9985^k after k steps."""
    exploration, num_envs = ornstein_uhlenbeck(still, 1, 0.5, theta=0.15, dt=0.01), 4000
    obs, first = jnp.zeros((num_envs, 1)), jnp.zeros(num_envs, bool)

    @jax.jit
    def run(key, state, num_steps):
        def step(t, state):
            return exploration.act(jax.random.fold_in(key, t), state, None, obs, first)[1]

        return jax.lax.fori_loop(0, num_steps, step, state)

    state = run(jax.random.key(1), exploration.init(jax.random.key(0), None, num_envs), 3000)
    soon = run(jax.random.key(2), state, 100)
    later = run(jax.random.key(3), soon, 362)
    x, y, z = (np.asarray(state.noise[:, 0]) for state in (state, soon, later))
    np.testing.assert_allclose([x.std(), y.std(), z.std()], 0.9132, rtol=0.05)
    np.testing.assert_allclose(np.corrcoef(x, y)[0, 1], 0.8606, atol=0.02)  # 0.9985^100
    np.testing.assert_allclose(np.corrcoef(x, z)[0, 1], 0.4998, atol=0.05)  # 0.9985^462


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
    assert state.scale == 50


@pytest.mark.parametrize("kind", ["gaussian", "ou"])
def test_the_noise_decays_from_one_episode_of_an_environment_to_its_next(kind):
    exploration = make_exploration(still, 1, ExplorationConfig(kind, stddev=0.04, decay_rate=0.5, final_stddev=0.015))
    state, key = exploration.init(jax.random.key(0), None, 2), jax.random.key(1)
    scales = []
    for first in ([True, True], [True, True], [True, True]):
        action, state = exploration.act(key, state, None, jnp.zeros((2, 1)), jnp.array(first))
        scales.append((action / jax.random.normal(key, (2, 1)))[:, 0])
    np.testing.assert_allclose(scales, [[0.04] * 2, [0.02] * 2, [0.015] * 2], rtol=1e-4)


def test_environments_decay_by_their_own_episodes():
    exploration = gaussian(still, episode_scale(0.04, 0.5))
    state, key = exploration.init(jax.random.key(0), None, 2), jax.random.key(1)
    for first in ([True, True], [True, False], [True, False]):
        action, state = exploration.act(key, state, None, jnp.zeros((2, 1)), jnp.array(first))
    np.testing.assert_allclose((action / jax.random.normal(key, (2, 1)))[:, 0], [0.01, 0.04], rtol=1e-4)


class SmoothingTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_actions_share_in_the_one_before_but_not_across_an_episodes_end(self):
        """Actions 0.8, 0, 0.4 with a share of 0.25: 0.8, 0.75 0 + 0.25 0.8 = 0.2, 0.75 0.4 + 0.25 0.2 = 0.35."""
        exploration = smoothed(greedy(lambda params, obs: obs), 1, 0.25)
        act = self.variant(exploration.act)
        state, actions = exploration.init(jax.random.key(0), None, 3), []
        # The second environment's episode ends before the third step; the third is met in mid-episode.
        for obs, first in ((0.8, [1, 1, 0]), (0.0, [0, 0, 0]), (0.4, [0, 1, 0])):
            action, state = act(jax.random.key(1), state, None, jnp.full((3, 1), obs), jnp.array(first, bool))
            actions.append(action[:, 0])
        np.testing.assert_allclose(actions, [[0.8, 0.8, 0.8], [0.2, 0.2, 0.2], [0.35, 0.4, 0.35]], rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_it_comes_after_noise_and_clipping(self):
        exploration = make_exploration(
            lambda params, obs: obs, 1, ExplorationConfig("gaussian", stddev=0.0, smoothing=0.5)
        )
        act = self.variant(jax.vmap(exploration.act, (None, 0, None, 0, 0)))
        state = jax.vmap(lambda obs: exploration.init(jax.random.key(0), None, 1))(jnp.zeros(2))
        for obs in ([1.5, 0.5], [0.5, -3.0]):
            action, state = act(
                jax.random.key(1), state, None, jnp.array(obs).reshape(2, 1, 1), jnp.zeros((2, 1), bool)
            )
        np.testing.assert_allclose(action[:, 0, 0], [0.75, -0.25], rtol=1e-6)


def test_plain_noise_carries_no_array():
    """What is off costs nothing: no counter, no action, no parameters are carried from step to step."""
    state = make_exploration(policy, ACTION_DIM, ExplorationConfig()).init(jax.random.key(0), PARAMS, NUM_ENVS)
    assert jax.tree.leaves(state) == []

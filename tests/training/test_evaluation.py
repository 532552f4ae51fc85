import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import LENGTH, PACE, Scripted, Seeing, goal_world, probe

from ddpg_jax import EnvError, make_evaluate
from ddpg_jax.envs import gymnasium as bridge


def policy(params, obs):
    return jnp.full((obs.shape[0], 1), params)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_returns_and_lengths_are_those_of_whole_episodes(num_envs):
    env = probe(lambda obs, action: action + obs, length=5, obs=lambda time, sign: time)(num_envs)
    result = make_evaluate(env, policy, 7)(jax.random.key(0), 0.5)
    np.testing.assert_allclose(result.returns, np.full(7, 5 * 0.5 + 10))
    assert result.lengths.tolist() == [5] * 7


def test_discounted_returns_and_the_observations_that_episodes_began_with():
    env = probe(lambda obs, action: action + obs, length=3, obs=lambda time, sign: sign * (time + 7))(2)
    result = make_evaluate(env, lambda params, obs: jnp.zeros((2, 1)), 5, discount=0.5)(jax.random.key(0), None)
    sign = np.sign(result.first_obs[:, 0])
    np.testing.assert_allclose(result.first_obs[:, 0], sign * 7)
    np.testing.assert_allclose(result.discounted_returns, sign * (7 + 8 / 2 + 9 / 4))
    np.testing.assert_allclose(result.returns, sign * 24)


def test_the_observations_of_a_dict_are_a_dict_too():
    world = goal_world(2)
    straight = lambda params, obs: ((obs["desired_goal"] - obs["achieved_goal"]) / PACE).clip(-1, 1)  # noqa: E731
    evaluate = make_evaluate(world, straight, 5)
    result = evaluate(jax.random.key(0), None)
    assert result.lengths.tolist() == [LENGTH] * 5
    assert result.first_obs["desired_goal"].shape == (5, 2)
    assert len({*result.first_obs["desired_goal"][:, 0].tolist()}) == 5
    np.testing.assert_array_equal(result.first_obs["observation"], np.zeros((5, 2)))
    far = np.abs(result.first_obs["desired_goal"]).max(axis=1)
    assert (result.returns <= 0).all()
    assert (result.returns > -far / PACE - 1e-5).all(), "so many steps to the goal, the last of which is rewarded"
    bridged = make_evaluate(bridge.from_factory(Seeing), lambda params, obs: jnp.zeros((1, 2)), 3)
    first = bridged(jax.random.key(0), None).first_obs
    assert first["joints"]["time"].tolist() == [0, 0, 0]
    assert (first["joints"]["who"].sum(axis=-1) == 1).all()


def test_each_environment_plays_the_same_number_of_episodes():
    env = bridge.from_factory(Scripted, 2)
    result = make_evaluate(env, lambda params, obs: jnp.zeros((2, 2)), 40)(jax.random.key(0), None)
    # Were short episodes counted more often, the mean length would fall below that of the seeds.
    run_seed = int(jax.random.bits(jax.random.split(jax.random.key(0))[0]))
    seeds = [[bridge.episode_seed(run_seed, env, episode) % 1000 for env in range(2)] for episode in range(20)]
    assert result.lengths.tolist() == [3 + seed % 3 for row in seeds for seed in row]


def test_the_same_key_gives_the_same_episodes():
    env = bridge.make("Pendulum-v1", 2)
    evaluate = make_evaluate(env, policy, 2)
    first, second, other = (evaluate(jax.random.key(seed), 0.1).returns for seed in (0, 0, 1))
    assert first.tolist() == second.tolist() != other.tolist()


def test_environments_that_fail_are_reported():
    class Failing(Scripted):
        def step(self, action):
            raise RuntimeError("no signal")

    evaluate = make_evaluate(bridge.from_factory(Failing), lambda params, obs: jnp.zeros((1, 2)), 1)
    with pytest.raises(EnvError, match="no signal"):
        evaluate(jax.random.key(0), None)

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import LENGTH, PACE, Scripted, Seeing, goal_world, probe

from ddpg_jax import EnvError, make_evaluate
from ddpg_jax.envs.gymnasium import bridge


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
    run_seed = int(jax.random.bits(jax.random.split(jax.random.key(0))[0], dtype=jnp.uint32))
    seeds = [[bridge.episode_seed(run_seed, env, episode) % 1000 for env in range(2)] for episode in range(20)]
    assert result.lengths.tolist() == [3 + seed % 3 for row in seeds for seed in row]


def test_the_same_key_gives_the_same_episodes():
    env = bridge.make("Pendulum-v1", 2)
    evaluate = make_evaluate(env, policy, 2)
    first, second, other = (evaluate(jax.random.key(seed), 0.1).returns for seed in (0, 0, 1))
    assert first.tolist() == second.tolist() != other.tolist()


def test_what_was_played_so_far_is_told_about_once_a_second_and_what_is_raised_then_ends_it():
    class Slow(Scripted):
        def step(self, action):
            time.sleep(0.02)
            return super().step(action)

    told = []

    def on_progress(steps, episodes):
        told.append((time.monotonic(), steps, episodes))
        if len(told) > 3:
            raise KeyboardInterrupt

    evaluate = make_evaluate(bridge.from_factory(Slow, 5), lambda params, obs: jnp.zeros((5, 2)), 40)
    with pytest.raises(KeyboardInterrupt):
        evaluate(jax.random.key(0), None, on_progress)
    assert told[0][1] == 5, "a single step of each, whatever it may take"
    assert told[3][0] - told[0][0] < 4
    told.clear()
    quick = make_evaluate(bridge.from_factory(Scripted, 2), lambda params, obs: jnp.zeros((2, 2)), 5)
    quick(jax.random.key(0), None, lambda steps, episodes: told.append((steps, episodes)))
    assert told[-1][1] == 5, "and not 6, which two environments play"
    assert sorted(told) == told


def test_environments_that_fail_are_reported():
    class Failing(Scripted):
        def step(self, action):
            raise RuntimeError("no signal")

    evaluate = make_evaluate(bridge.from_factory(Failing), lambda params, obs: jnp.zeros((1, 2)), 1)
    with pytest.raises(EnvError, match="no signal"):
        evaluate(jax.random.key(0), None)


class Giving(Scripted):
    """Gives `reward` and `sight` in the second step of every episode."""

    reward, sight = 1.0, 0.0

    def step(self, action):
        obs, _, terminated, truncated, info = super().step(action)
        odd = self.time == 2
        return obs + (self.sight if odd else 0), self.reward if odd else 1.0, terminated, truncated, info


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reward": NAN}, "a reward that is not finite in float32"),
        ({"reward": -INF}, "a reward that is not finite in float32"),
        ({"reward": 1e39}, "a reward that is not finite in float32"),
        ({"sight": NAN}, "an observation that is not finite in float32"),
    ],
)
def test_a_number_that_is_not_finite_ends_it_with_its_moment(changes, words):
    env = bridge.from_factory(lambda: type("Odd", (Giving,), changes)(), 2)
    evaluate = make_evaluate(env, lambda params, obs: jnp.zeros((2, 2)), 4)
    message = (
        rf"^environment 0 gave {words} in step 2 of episode 0; "
        r"it is in episode 0 \(seed \d+\), step 2 of it, on the action \[1.0, 0.25\]$"
    )
    for _ in range(2):  # the second time in an environment that was made anew
        with pytest.raises(EnvError, match=message):
            evaluate(jax.random.key(0), None)


def test_returns_that_overflow_end_it_too():
    env = bridge.from_factory(lambda: type("Odd", (Giving,), {"step": huge})())
    with pytest.raises(EnvError, match=r"environment 0 gave rewards whose sum is not finite in float32 in step 2 of"):
        make_evaluate(env, lambda params, obs: jnp.zeros((1, 2)), 4)(jax.random.key(0), None)


def huge(self, action):
    obs, _, terminated, truncated, info = Scripted.step(self, action)
    return obs, 3e38, terminated, truncated, info


@pytest.mark.parametrize(
    ("reward", "obs", "words"),
    [
        (lambda obs, action: jnp.where(obs == 2, NAN, 1.0), lambda time, sign: time, "a reward .* step 3 of episode 0"),
        (lambda obs, action: 0 * obs, lambda time, sign: jnp.log(2 - time), "an observation .* step 2 of episode 0"),
        (lambda obs, action: 0 * obs, lambda time, sign: 1 / time, "an observation on its reset .* in episode 0"),
        (lambda obs, action: 3e38 + 0 * obs, lambda time, sign: time, "rewards whose sum .* step 2 of episode 0"),
    ],
)
def test_a_compiled_world_without_a_host_says_it_as_well(reward, obs, words):
    evaluate = make_evaluate(probe(reward, 5, obs)(2), policy, 4)
    with pytest.raises(EnvError, match=f"^environment 0 gave {words}; it is in the compiled program$"):
        evaluate(jax.random.key(0), 0.0)


@pytest.mark.parametrize("world", [bridge.from_factory(Scripted, 2), probe(lambda obs, action: 0 * obs)(2)])
def test_a_policy_that_is_not_finite_is_not_the_environments_fault(world):
    def broken(params, obs):
        return jnp.full((2, world.spec.action_dim), NAN)

    with pytest.raises(FloatingPointError, match=r"action .*is not finite.*agent\.actor_lr"):
        make_evaluate(world, broken, 2)(jax.random.key(0), None)

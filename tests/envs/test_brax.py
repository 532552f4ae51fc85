"""brax: its environments as they are, without the wrappers of its training."""

import numpy as np
import pytest
from suite_contract import check_contract, check_seeds, check_steps_of_brax, ends, take_steps

from ddpg_jax import envs
from ddpg_jax.envs.suites import find_suite, load

pytest.importorskip("brax")


@pytest.fixture(scope="module")
def brax():
    return load(find_suite("brax/"), "brax/")


def test_an_oracle_sees_the_same_steps(brax):
    env = envs.make("brax/inverted_pendulum", 2, max_steps=12)
    steps = take_steps(env, 1_000, keep_state=True)
    check_contract(env, steps)
    check_steps_of_brax(steps, brax.load("inverted_pendulum"), 12)
    assert steps.timestep.terminated.any()
    assert steps.timestep.truncated.any()


def test_its_limit_is_that_of_braxs_training():
    steps = take_steps(envs.make("brax/fast"), 2_500)
    assert np.flatnonzero(ends(steps)[:, 0]).tolist() == [999, 1_999]


def test_seeds_repeat():
    check_seeds(lambda: envs.make("brax/inverted_pendulum", 2))


def test_it_can_be_filmed(brax):
    env = brax.film("inverted_pendulum")
    one, _ = env.reset(seed=3)
    obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    assert env.observation_space.contains(one)
    assert env.observation_space.contains(obs)
    assert (reward, terminated, truncated) == (1.0, False, False)
    env.close()


def test_arguments_and_a_limit_of_ones_own(brax):
    assert brax.load("inverted_pendulum", {"backend": "spring"}).backend == "spring"
    steps = take_steps(envs.make("brax/fast", max_episode_steps=7), 20)
    assert np.flatnonzero(ends(steps)[:, 0]).tolist() == [6, 13]
    with pytest.raises(envs.EnvError, match=r"brax/ant cannot be made with env_kwargs = \{'bakend': 'spring'\}"):
        envs.make("brax/ant", env_kwargs={"bakend": "spring"})


def test_unknown_names_are_refused():
    assert not envs.registered("brax/nope")
    with pytest.raises(envs.EnvError, match=r"brax has no environment 'nope'; it has ant"):
        envs.make("brax/nope")

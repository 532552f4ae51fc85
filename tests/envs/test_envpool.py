"""envpool: a pool that loses no step, and begins its episodes where envpool itself does."""

import jax
import numpy as np
import pytest
from suite_contract import check_contract, check_seeds, ends, plays_as, take_steps

from ddpg_jax import envs
from ddpg_jax.envs.gymnasium import episode_seed

envpool = pytest.importorskip("envpool")


def raw(env_id, seed, limit):
    """envpool as it is: the step after an end only resets."""

    def oracle(actions):
        pool = envpool.make_gymnasium(env_id, num_envs=1, seed=[seed], max_episode_steps=limit)
        obs, _ = pool.reset()
        for action in actions:
            after, reward, terminated, truncated, _ = pool.step(action[None])
            yield obs, reward[0], terminated[0], truncated[0], after
            obs = pool.step(action[None])[0] if terminated[0] or truncated[0] else after

    return oracle


@pytest.mark.parametrize(("env_id", "limit"), [("Hopper-v4", 20), ("HalfCheetah-v4", 300), ("CartpoleSwingup-v1", 400)])
def test_an_oracle_sees_the_same_steps(env_id, limit):
    env = envs.make(f"envpool/{env_id}", 3, max_steps=limit)
    steps = take_steps(env, 1_000)
    check_contract(env, steps)
    run_seed = int(np.asarray(jax.jit(env.reset)(jax.random.key(0))[0].run_seed))
    for index in range(3):
        plays_as(steps, index, raw(env_id, episode_seed(run_seed, index, 0), limit))
    assert steps.timestep.truncated.any()
    assert steps.timestep.terminated.any() == (env_id == "Hopper-v4")
    env.close()


def test_seeds_repeat():
    check_seeds(lambda: envs.make("envpool/Hopper-v4", 2))


def test_its_own_limit_is_kept():
    steps = take_steps(envs.make("envpool/HalfCheetah-v4", max_steps=5_000), 1_001)
    assert np.flatnonzero(ends(steps)[:, 0]).tolist() == [999]


def test_what_is_restored_begins_new_episodes():
    env = envs.make("envpool/HalfCheetah-v4", 2)
    state, _ = jax.jit(env.reset)(jax.random.key(0))
    state, obs, _ = jax.jit(env.step)(jax.random.key(1), state, np.zeros((2, 6), np.float32))
    restored = env.restore(state, obs, np.array([1, 1]), env.save(np.array([1, 1])))
    assert restored.exact.tolist() == [False, False]
    assert "new ones begin" in restored.reason
    assert restored.state.number.tolist() == [1, 1]
    assert (restored.obs != np.asarray(obs)).any(axis=1).all()


def test_an_action_that_is_not_finite_is_not_stepped():
    env = envs.make("envpool/HalfCheetah-v4", 2)
    state, _ = jax.jit(env.reset)(jax.random.key(0))
    *_, timestep = jax.jit(env.step)(jax.random.key(1), state, np.full((2, 6), np.nan, np.float32))
    assert not timestep.alive
    assert "not finite" in str(env.failure())


def test_options_and_a_limit_of_ones_own():
    steps = take_steps(envs.make("envpool/HalfCheetah-v4", max_episode_steps=7, env_kwargs={"frame_skip": 2}), 20)
    assert np.flatnonzero(ends(steps)[:, 0]).tolist() == [6, 13]
    with pytest.raises(envs.EnvError, match=r"cannot be made with env_kwargs = \{'frame_skp': 2\}: TypeError"):
        envs.make("envpool/HalfCheetah-v4", env_kwargs={"frame_skp": 2})
    with pytest.raises(envs.EnvError, match="must leave out batch_size, num_envs, seed: training sets these"):
        envs.make("envpool/HalfCheetah-v4", env_kwargs={"seed": 2})


def test_unknown_names_are_refused():
    assert not envs.registered("envpool/Nope-v0")
    with pytest.raises(envs.EnvError, match=r"envpool has no environment 'Nope-v0'"):
        envs.make("envpool/Nope-v0")
    with pytest.raises(envs.EnvError, match="Discrete"):
        envs.make("envpool/CartPole-v1")

"""MuJoCo Playground: its environments as they are, without the wrappers of its training."""

import jax
import pytest
from suite_contract import check_contract, check_seeds, check_steps_of_brax, take_steps

from ddpg_jax import envs
from ddpg_jax.envs.suites import find_suite, load

pytest.importorskip("mujoco_playground")


@pytest.fixture(scope="module")
def playground():
    return load(find_suite("playground/"), "playground/")


def test_an_oracle_sees_the_same_steps(playground):
    env = envs.make("playground/CartpoleBalance", 2, max_steps=150)
    steps = take_steps(env, 1_000, keep_state=True)
    check_contract(env, steps)
    check_steps_of_brax(steps, playground.load("CartpoleBalance")[0], 150)
    assert not steps.timestep.terminated.any()


def test_its_own_limit_is_kept(playground):
    assert playground.load("CheetahRun")[1] == 1_000


def test_seeds_repeat():
    check_seeds(lambda: envs.make("playground/CartpoleBalance", 2))


def test_it_can_be_filmed(playground):
    env = playground.film("CartpoleBalance")
    one, _ = env.reset(seed=3)
    obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    assert env.observation_space.contains(one)
    assert env.observation_space.contains(obs)
    assert (reward >= 0, terminated, truncated) == (True, False, False)
    assert env.metadata["render_fps"] == 100
    env.close()


def test_settings_and_a_limit_of_ones_own(playground):
    task = playground.load("CartpoleBalance", {"ctrl_dt": 0.02, "action_repeat": 2})
    assert (task.world.dt, task.action_repeat) == (0.02, 2)
    assert envs.make("playground/CartpoleBalance", max_episode_steps=7)
    with pytest.raises(envs.EnvError, match=r"env_kwargs.ctrl_td is no setting of .*did you mean 'ctrl_dt'"):
        envs.make("playground/CartpoleBalance", env_kwargs={"ctrl_td": 0.02})
    with pytest.raises(envs.EnvError, match="do not fit playground/CartpoleBalance"):
        envs.make("playground/CartpoleBalance", env_kwargs={"ctrl_dt": "slow"})


def test_unknown_names_are_refused():
    assert not envs.registered("playground/Nope")
    with pytest.raises(envs.EnvError, match=r"MuJoCo Playground has no environment 'Nope'; it has AcrobotSwingup"):
        envs.make("playground/Nope")


def test_keys_in_its_states_are_numbers():
    state, _ = jax.eval_shape(envs.make("playground/CheetahRun").reset, jax.random.key(0))
    assert {leaf.dtype.kind for leaf in jax.tree.leaves(state)} <= set("biuf")

"""DeepMind Control, Meta-World and highway-env: each by its ids, against the package itself."""

import jax
import numpy as np
import pytest
from suite_contract import check_contract, check_seeds, plays_as, take_steps

from ddpg_jax import envs
from ddpg_jax.envs.gymnasium import episode_seed, make_one


def check_suite(env_id, raw, num_steps=1_000):
    """Hold two environments of an id against `raw(seed of the episode) -> (first obs, step)`."""
    env = envs.make(env_id, 2)
    steps = take_steps(env, num_steps)
    check_contract(env, steps)
    run_seed = int(np.asarray(jax.jit(env.reset)(jax.random.key(0))[0].run_seed))
    for index in range(2):
        plays_as(steps, index, oracle_of(raw, run_seed, index))
    env.close()
    return steps


def oracle_of(raw, run_seed, index):
    def oracle(actions):
        episode = 0
        obs, step = raw(episode_seed(run_seed, index, episode))
        for action in actions:
            after, reward, terminated, truncated = step(action)
            yield obs, reward, terminated, truncated, after
            obs = after
            if terminated or truncated:
                episode += 1
                obs, step = raw(episode_seed(run_seed, index, episode))

    return oracle


@pytest.mark.parametrize("name", ["cartpole-swingup", "reacher-easy"])
def test_dm_control(name):
    suite = pytest.importorskip("dm_control.suite")
    pytest.importorskip("shimmy")
    env = suite.load(*name.split("-"))

    def raw(seed):
        env.task._random = np.random.RandomState(seed)

        def step(action):
            found = env.step(action.astype(float))
            return (
                found.observation,
                found.reward,
                found.last() and found.discount == 0,
                found.last() and found.discount == 1,
            )

        return env.reset().observation, step

    steps = check_suite(f"dmc/{name}", raw, 1_050)
    assert steps.timestep.truncated[999].all()
    check_seeds(lambda: envs.make(f"dmc/{name}"))


def test_dm_control_is_found_by_a_short_name_and_filmed_at_its_own_speed():
    pytest.importorskip("shimmy")
    pytest.importorskip("dm_control")
    assert envs.newest("dmc/cartpole-swingup") == "dmc/cartpole-swingup-v0"
    assert envs.registered("dmc/cartpole-swingup-v0")
    assert not envs.registered("dmc/cartpole-fly-v0")
    slow, fast = make_one("dmc/humanoid-run-v0"), make_one("dmc/cartpole-swingup-v0")
    assert (slow.metadata["render_fps"], fast.metadata["render_fps"]) == (40, 100)


def test_metaworld():
    metaworld = pytest.importorskip("metaworld")
    tasks = metaworld.MT1("reach-v3", seed=0).train_tasks
    env = metaworld.ALL_V3_ENVIRONMENTS["reach-v3"]()

    def raw(seed):
        env.seed(seed)
        env.set_task(tasks[env.np_random.choice(len(tasks))])

        def step(action):
            obs, reward, _, truncated, _ = env.step(action)
            return obs, reward, False, truncated

        return env.reset()[0], step

    steps = check_suite("metaworld/reach-v3", raw, 1_010)
    assert steps.timestep.truncated[[499, 999]].all()
    check_seeds(lambda: envs.make("metaworld/reach-v3"))
    assert envs.registered("metaworld/push-v3")
    assert not envs.registered("metaworld/fly-v3")


def test_highway_env():
    highway = pytest.importorskip("highway_env.envs.parking_env")
    env = highway.ParkingEnv()

    def raw(seed):
        return env.reset(seed=seed)[0], lambda action: env.step(action)[:4]

    steps = check_suite("parking-v0", raw)
    assert steps.timestep.terminated.any()
    assert envs.make("parking-v0").goal_problem == ""
    check_seeds(lambda: envs.make("parking-v0"))

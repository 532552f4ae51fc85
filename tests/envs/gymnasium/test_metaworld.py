"""Meta-World's tasks, against its environments and their goals."""

import pytest
from suite_contract import check_against_package, check_comes_back, check_seeds

from ddpg_jax import envs

metaworld = pytest.importorskip("metaworld")


def test_an_oracle_sees_the_same_steps():
    tasks = metaworld.MT1("reach-v3", seed=0).train_tasks
    env = metaworld.ALL_V3_ENVIRONMENTS["reach-v3"]()

    def raw(seed):
        env.seed(seed)
        env.set_task(tasks[env.np_random.choice(len(tasks))])

        def step(action):
            obs, reward, _, truncated, _ = env.step(action)
            return obs, reward, False, truncated

        return env.reset()[0], step

    steps = check_against_package("metaworld/reach-v3", raw, 1_010)
    assert steps.timestep.truncated[[499, 999]].all()
    check_seeds(lambda: envs.make("metaworld/reach-v3"))
    assert envs.registered("metaworld/push-v3")
    assert not envs.registered("metaworld/fly-v3")


def test_its_episodes_come_back_to_the_bit():
    check_comes_back("metaworld/reach-v3")

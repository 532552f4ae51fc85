"""DeepMind Control through shimmy, against dm_control itself."""

import numpy as np
import pytest
from suite_contract import check_against_package, check_comes_back, check_seeds

from ddpg_jax import envs
from ddpg_jax.envs.gymnasium import make_one

pytest.importorskip("shimmy")
suite = pytest.importorskip("dm_control.suite")


@pytest.mark.parametrize("name", ["cartpole-swingup", "reacher-easy"])
def test_an_oracle_sees_the_same_steps(name):
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

    steps = check_against_package(f"dmc/{name}", raw, 1_050)
    assert steps.timestep.truncated[999].all()
    check_seeds(lambda: envs.make(f"dmc/{name}"))


def test_it_is_found_by_a_short_name_and_filmed_at_its_own_speed():
    assert envs.newest("dmc/cartpole-swingup") == "dmc/cartpole-swingup-v0"
    assert envs.registered("dmc/cartpole-swingup-v0")
    assert not envs.registered("dmc/cartpole-fly-v0")
    slow, fast = make_one("dmc/humanoid-run-v0"), make_one("dmc/cartpole-swingup-v0")
    assert (slow.metadata["render_fps"], fast.metadata["render_fps"]) == (40, 100)


def test_its_episodes_come_back_to_the_bit():
    check_comes_back("dmc/cartpole-swingup-v0")

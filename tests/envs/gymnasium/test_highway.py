"""highway-env's parking, against its environment."""

import pytest
from suite_contract import check_against_package, check_comes_back, check_seeds

from ddpg_jax import envs

parking = pytest.importorskip("highway_env.envs.parking_env")


def test_an_oracle_sees_the_same_steps():
    env = parking.ParkingEnv()

    def raw(seed):
        return env.reset(seed=seed)[0], lambda action: env.step(action)[:4]

    steps = check_against_package("parking-v0", raw)
    assert steps.timestep.terminated.any()
    assert envs.make("parking-v0").goal_problem == ""
    check_seeds(lambda: envs.make("parking-v0"))


def test_its_episodes_come_back_to_the_bit():
    check_comes_back("parking-v0")

"""Rewards of other goals against those of the steps that were taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from replay.replay_oracle import SPEC, World, goal_reward

from ddpg_jax import ReplayConfig
from ddpg_jax.replay.buffer import make_replay
from ddpg_jax.training.goal_check import reward_difference

# Settings and capacity; in the last, the ends of most episodes are lost.
KINDS = [
    ({"sampling": "prioritized", "n_step": 3}, 2000),
    ({"compact": True, "discount": 0.0}, 2000),
    ({"compact": True, "sampling": "prioritized", "n_step": 2}, 100),
]


def filled(settings, crashes, capacity):
    """A memory of 60 steps of two environments, rewarded by their goals, and 5 less in the last step of an episode."""
    config = ReplayConfig(capacity, 8, hindsight="future", **settings)
    replay, world = make_replay(SPEC, config, 2), World(2)
    state, add = replay.init(), jax.jit(replay.add)
    for time in range(60):
        step = world.step("...T...C"[time % 8] * 2)
        reward = np.asarray(goal_reward(*(step.next_obs[name] for name in ("achieved_goal", "desired_goal"))))
        state = add(state, step._replace(reward=(reward - 5 * (crashes & step.terminated)).astype(np.float32)))
    return config, state


@pytest.mark.parametrize(("settings", "capacity"), KINDS)
def test_a_reward_of_the_goals_alone_is_that_of_the_steps(settings, capacity):
    config, state = filled(settings, crashes=False, capacity=capacity)
    assert reward_difference(SPEC, config, 2, state) == ""


@pytest.mark.parametrize(("settings", "capacity"), KINDS[:2])
def test_a_reward_that_reads_more_is_said(settings, capacity):
    config, state = filled(settings, crashes=True, capacity=capacity)
    found = reward_difference(SPEC, config, 2, state)
    assert "is not that of 16 of the 120 first steps: it gives" in found
    assert "leave it out of the reward, or choose replay.hindsight 'none'" in found
    assert "\n" not in found


def test_a_wrong_function_is_said_with_both_numbers():
    config, state = filled({}, crashes=False, capacity=2000)
    wrong = SPEC._replace(goal_reward=lambda achieved, desired: jnp.full(achieved.shape[:-1], -7.0))
    assert "120 of the 120 first steps: it gives -7 where the environment gave " in reward_difference(
        wrong, config, 2, state
    )

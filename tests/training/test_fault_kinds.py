"""A number that is not finite is found wherever in an observation it is."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from ddpg_jax.envs.protocol import Timestep
from ddpg_jax.training.faults import Fault, all_finite, find_fault, find_first_fault, split_fault

NUM_ENVS = 3
# Of a reward, the successor's leaves (camera, angle, speed), and those of what is chosen on.
REWARD, ANGLE, SPEED, FIRST_ANGLE, NUM_FIELDS = 0, 2, 3, 5, 7
ACTION = np.zeros((NUM_ENVS, 2), np.float32)


def healthy():
    """What a step brings where all is well: what is chosen on, and the timestep; their arrays are their own."""

    def obs():
        return {
            "camera": np.full((NUM_ENVS, 2, 2), 255, np.uint8),
            "joints": {"angle": np.ones((NUM_ENVS, 2), np.float32), "speed": np.zeros(NUM_ENVS, np.float32)},
        }

    flags = np.zeros(NUM_ENVS, bool)
    return obs(), Timestep(np.ones(NUM_ENVS, np.float32), flags, flags, obs(), np.bool_(True))


# Where the number is: a field of the timestep, or what is chosen on; and what the fault is said to be.
PLACES = {
    "reward": (lambda obs, timestep: timestep.reward, REWARD),
    "successor": (lambda obs, timestep: timestep.next_obs["joints"]["speed"], SPEED),
    "successor, of two": (lambda obs, timestep: timestep.next_obs["joints"]["angle"][:, 1], ANGLE),
    "choice": (lambda obs, timestep: obs["joints"]["angle"][:, 0], FIRST_ANGLE),
}


class TestFaults(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_a_healthy_step_is_finite(self):
        assert self.variant(all_finite)(ACTION, *healthy())

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(*((name, env, bad) for name in PLACES for env, bad in ((0, np.nan), (2, -np.inf))))
    def test_the_environment_and_the_field_are_found(self, name, env, bad):
        place, field = PLACES[name]
        obs, timestep = healthy()
        place(obs, timestep)[env] = bad
        assert not self.variant(all_finite)(ACTION, obs, timestep)
        assert self.variant(find_fault)(ACTION, obs, timestep) == Fault.NOT_FINITE + NUM_FIELDS * env + field

    @chex.variants(with_jit=True, without_jit=True)
    def test_an_action_that_is_not_finite_is_no_fault_of_the_environments(self):
        action, (obs, timestep) = ACTION.copy(), healthy()
        action[2, 1] = np.nan
        for alive in (True, False):
            given = action, obs, timestep._replace(alive=np.bool_(alive), reward=np.full(NUM_ENVS, np.nan, np.float32))
            assert not self.variant(all_finite)(*given)
            assert self.variant(find_fault)(*given) == Fault.ACTION_NOT_FINITE

    @chex.variants(with_jit=True, without_jit=True)
    def test_a_first_observation_is_told_from_a_successor(self):
        obs, _ = healthy()
        assert self.variant(find_first_fault)(obs) == Fault.HEALTHY
        obs["joints"]["angle"][1, 0] = np.inf
        assert self.variant(find_first_fault)(obs) == Fault.NOT_FINITE + NUM_FIELDS + FIRST_ANGLE

    @chex.variants(with_jit=True, without_jit=True)
    def test_sums_of_rewards_are_asked_for_last(self):
        sums, (obs, timestep) = np.array([0, np.inf, 0], np.float32), healthy()
        assert not self.variant(all_finite)(ACTION, obs, timestep, sums)
        fault = self.variant(find_fault)(ACTION, obs, timestep, sums)
        assert split_fault(fault, obs, "sum") == (1, "rewards whose sum is not finite in float32")

    @chex.variants(with_jit=True, without_jit=True)
    def test_environments_that_failed_are_no_number_that_is_not_finite(self):
        obs, timestep = healthy()
        timestep = timestep._replace(alive=np.bool_(False))
        timestep.reward[1] = np.nan
        assert not self.variant(all_finite)(ACTION, obs, timestep)
        assert self.variant(find_fault)(ACTION, obs, timestep) == Fault.ENV_FAILED


def test_the_words_name_the_part_and_the_reset():
    obs, _ = healthy()
    for field, words in (
        (REWARD, "a reward that is not finite in float32"),
        (SPEED, "an observation['joints']['speed'] that is not finite in float32"),
        (FIRST_ANGLE, "an observation['joints']['angle'] on its reset that is not finite in float32"),
    ):
        assert split_fault(Fault.NOT_FINITE + NUM_FIELDS * 2 + field, obs) == (2, words)


def test_a_box_is_compared_as_before():
    """The program of one array: one comparison each of action, reward, successor and choice, and no more."""
    obs, timestep = jnp.ones((NUM_ENVS, 2)), Timestep(jnp.ones(3), *[jnp.zeros(3, bool)] * 2, jnp.ones((3, 2)), True)
    text = str(jax.make_jaxpr(all_finite)(jnp.ones((NUM_ENVS, 1)), obs, timestep))
    assert text.count("is_finite") == 4
    assert text.count("reduce_and") == 4
    assert text.count("= and ") == 4

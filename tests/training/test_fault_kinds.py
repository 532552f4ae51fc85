"""A number that is not finite is found wherever in an observation it is."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from ddpg_jax.envs.protocol import Timestep
from ddpg_jax.training.faults import Fault, all_finite, find_fault

NUM_ENVS = 3
REWARD, OBSERVATION = 0, 1


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
    "successor": (lambda obs, timestep: timestep.next_obs["joints"]["speed"], OBSERVATION),
    "successor, of two": (lambda obs, timestep: timestep.next_obs["joints"]["angle"][:, 1], OBSERVATION),
    "choice": (lambda obs, timestep: obs["joints"]["angle"][:, 0], OBSERVATION),
}


class TestFaults(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_a_healthy_step_is_finite(self):
        assert self.variant(all_finite)(*healthy())

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(*((name, env, bad) for name in PLACES for env, bad in ((0, np.nan), (2, -np.inf))))
    def test_the_environment_and_the_field_are_found(self, name, env, bad):
        place, field = PLACES[name]
        obs, timestep = healthy()
        place(obs, timestep)[env] = bad
        assert not self.variant(all_finite)(obs, timestep)
        assert self.variant(find_fault)(obs, timestep) == Fault.NOT_FINITE + 2 * env + field

    @chex.variants(with_jit=True, without_jit=True)
    def test_environments_that_failed_are_no_number_that_is_not_finite(self):
        obs, timestep = healthy()
        timestep = timestep._replace(alive=np.bool_(False))
        timestep.reward[1] = np.nan
        assert not self.variant(all_finite)(obs, timestep)
        assert self.variant(find_fault)(obs, timestep) == Fault.ENV_FAILED


def test_a_box_is_compared_as_before():
    """The program of one array: one comparison each of reward, successor and choice, and no more."""
    obs, timestep = jnp.ones((NUM_ENVS, 2)), Timestep(jnp.ones(3), *[jnp.zeros(3, bool)] * 2, jnp.ones((3, 2)), True)
    text = str(jax.make_jaxpr(all_finite)(obs, timestep))
    assert text.count("is_finite") == 3
    assert text.count("reduce_and") == 3
    assert text.count("= and ") == 3

"""Scales of noise, with numbers worked out by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ddpg_jax.agent.noise_scale import Scale, as_scale, constant_scale, episode_scale, make_scale
from ddpg_jax.config import ExplorationConfig

# Of three environments, one has long episodes, one short ones, and one is met in the middle of an episode.
FIRST = jnp.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
FALLING = [[0.4, 0.4, 0.4], [0.4, 0.2, 0.4], [0.2, 0.15, 0.2], [0.2, 0.15, 0.2]]


def scales(scale, firsts=FIRST):
    """What a scale is at each of some steps."""
    state, values = scale.init(firsts.shape[1]), []
    for first in firsts:
        sigma, state = scale.now(state, first)
        values.append(sigma)
    return jnp.stack(jnp.broadcast_arrays(*values)), state


class ScaleTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_it_falls_with_each_episode_of_each_environment_down_to_its_floor(self):
        sigma, episode = self.variant(lambda firsts: scales(episode_scale(0.4, 0.5, 0.15), firsts))(FIRST)
        np.testing.assert_allclose(sigma[..., 0], FALLING, rtol=1e-6)
        np.testing.assert_array_equal(episode, [1, 3, 1])

    @chex.variants(with_jit=True, without_jit=True)
    def test_each_of_several_runs_has_its_own_episodes(self):
        firsts = jnp.stack([FIRST, FIRST[:, ::-1]])
        sigma, _ = self.variant(jax.vmap(lambda firsts: scales(episode_scale(0.4, 0.5, 0.15), firsts)))(firsts)
        np.testing.assert_allclose(sigma[1, ..., 0], np.array(FALLING)[:, ::-1], rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_a_schedule_counts_the_steps_of_all_environments(self):
        scale = as_scale(optax.linear_schedule(1.0, 0.0, 12))
        sigma, step = self.variant(lambda firsts: scales(scale, firsts))(FIRST)
        np.testing.assert_allclose(sigma, [1.0, 0.75, 0.5, 0.25])
        assert step == 12


def test_a_constant_keeps_no_state():
    assert jax.tree.leaves(constant_scale(0.3).init(4)) == []
    assert as_scale(0.3).now((), FIRST[0]) == (0.3, ())


def test_a_scale_stays_what_it_is():
    scale = Scale(lambda num_envs: (), lambda state, first: (1.0, state))
    assert as_scale(scale) is scale


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ExplorationConfig(stddev=0.4), [0.4, 0.4, 0.4, 0.4]),
        (ExplorationConfig(stddev=0.4, decay_rate=0.5), [0.4, 0.2, 0.1, 0.05]),
        (ExplorationConfig(stddev=0.4, decay_rate=0.5, final_stddev=0.15), [0.4, 0.2, 0.15, 0.15]),
        (ExplorationConfig(stddev=0.4, decay_steps=6, final_stddev=0.1), [0.4, 0.25, 0.1, 0.1]),
    ],
)
def test_settings_name_a_scale(config, expected):
    sigma, _ = scales(make_scale(config), jnp.ones((4, 3), bool))
    np.testing.assert_allclose(sigma.reshape(4, -1)[:, 0], expected, rtol=1e-6)

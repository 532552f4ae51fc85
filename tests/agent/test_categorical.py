"""Distributions of returns, with numbers worked out by hand, compiled, not compiled and vmapped."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.agent.categorical import cross_entropy, expectation, huber_divergence, project

ATOMS = jnp.array([-1.0, 0.0, 1.0])
PROBABILITIES = jnp.array([[0.2, 0.3, 0.5]] * 3)
REWARD, DISCOUNT = jnp.array([0.5, 3.0, -0.25]), jnp.array([0.5, 0.0, 0.0])
PROJECTED = [[0.0, 0.35, 0.65], [0.0, 0.0, 1.0], [0.25, 0.75, 0.0]]
EVEN = jnp.zeros(3)


class CategoricalTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_the_expectation_weighs_the_atoms(self):
        logits = jnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, np.log(2.0)]])
        np.testing.assert_allclose(self.variant(expectation)(logits, ATOMS), [0.0, 0.25], atol=1e-7)

    @chex.variants(with_jit=True, without_jit=True)
    def test_shifted_atoms_are_shared_by_their_neighbours_and_stay_in_range(self):
        found = self.variant(project)(REWARD, DISCOUNT, PROBABILITIES, ATOMS)
        np.testing.assert_allclose(found, PROJECTED, atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_cross_entropy(self):
        np.testing.assert_allclose(self.variant(cross_entropy)(EVEN, jnp.array(PROJECTED[0])), np.log(3), rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_the_huber_divergence_is_the_divergence_up_to_a_half_and_its_root_beyond(self):
        target = jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1 / 3] * 3])
        found = self.variant(huber_divergence)(jnp.zeros((3, 3)), target)
        np.testing.assert_allclose(found, [np.log(1.5), np.sqrt(2 * np.log(3)) - 0.5, 0], atol=1e-6)


def test_within_range_the_projection_keeps_the_mean_and_the_whole():
    atoms, key = jnp.linspace(-10, 10, 41), jax.random.key(0)
    probabilities = jax.nn.softmax(jax.random.normal(key, (8, 41)))
    reward, discount = jnp.linspace(-2, 2, 8), jnp.linspace(0, 0.8, 8)
    found = project(reward, discount, probabilities, atoms)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found @ atoms, reward + discount * (probabilities @ atoms), rtol=1e-4, atol=1e-5)


def test_projections_under_vmap_equal_those_one_by_one():
    twice = jax.vmap(project, (0, None, 0, None))(
        jnp.stack([REWARD, REWARD]), DISCOUNT, jnp.stack([PROBABILITIES] * 2), ATOMS
    )
    np.testing.assert_allclose(twice, [PROJECTED] * 2, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(expectation, (0, None))(jnp.zeros((4, 2, 3)), ATOMS), np.zeros((4, 2)))


def test_no_gradient_flows_through_the_target_and_none_is_nan_where_both_agree():
    def through(probabilities):
        return project(REWARD, DISCOUNT, probabilities, ATOMS).sum()

    assert not np.any(jax.grad(through)(PROBABILITIES))
    gradient = jax.grad(huber_divergence)(EVEN, jnp.array([1 / 3] * 3))
    np.testing.assert_allclose(gradient, 0, atol=1e-6)

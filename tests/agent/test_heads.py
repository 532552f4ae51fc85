"""What critics' outputs mean, for every choice of head, reduction, subset and loss."""

import collections

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.agent.heads import make_head
from ddpg_jax.config import DDPGConfig

KEY = jax.random.key(0)
REWARD, DISCOUNT = jnp.array([1.0, 2.0]), jnp.array([0.5, 0.0])
NEXT_Q = jnp.array([[4.0, 1.0], [2.0, 3.0]])
ATOMS = {"num_atoms": 3, "value_min": -1.0, "value_max": 1.0}


class HeadTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_the_smallest_value_or_the_mean_is_the_target_s(self):
        for reduction, expected in {"min": [2.0, 2.0], "mean": [2.5, 2.0]}.items():
            head = make_head(DDPGConfig(num_critics=2, target_reduction=reduction))
            found = self.variant(head.target)(KEY, REWARD, DISCOUNT, NEXT_Q)
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            np.testing.assert_allclose(head.mean(found), expected, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_of_distributions_the_one_that_expects_least_is_taken_row_by_row_or_the_mixture(self):
        low, high = [np.log(0.6), np.log(0.4), -50.0], [-50.0, np.log(0.4), np.log(0.6)]
        logits = jnp.array([[low, high], [high, low]])
        reward, discount = jnp.zeros(2), jnp.ones(2)
        for reduction, expected in {"min": [[0.6, 0.4, 0.0]] * 2, "mean": [[0.3, 0.4, 0.3]] * 2}.items():
            head = make_head(DDPGConfig(num_critics=2, target_reduction=reduction, **ATOMS))
            found = self.variant(head.target)(KEY, reward, discount, logits)
            np.testing.assert_allclose(found, expected, atol=1e-6)
            np.testing.assert_allclose(head.mean(found), {"min": -0.6, "mean": 0.0}[reduction], atol=1e-6)
            np.testing.assert_allclose(head.value(logits), [[-0.6, 0.6], [0.6, -0.6]], atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_losses_are_weighted_averaged_over_rows_and_summed_over_critics(self):
        weight = jnp.array([1.0, 3.0])
        scalar = {"squared": (4 + 3 * 1) / 2 + (0 + 3 * 1) / 2, "huber": (1.5 + 1.5) / 2 + 1.5 / 2}
        for loss, expected in scalar.items():
            head = make_head(DDPGConfig(critic_loss=loss))
            found = self.variant(head.loss)(NEXT_Q, jnp.array([2.0, 2.0]), weight)
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        target = jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
        rows = {
            "squared": [np.log(3), np.log(3)],
            "huber": [np.log(1.5), np.sqrt(2 * np.log(3)) - 0.5],
        }
        for loss, (one, two) in rows.items():
            head = make_head(DDPGConfig(critic_loss=loss, **ATOMS))
            found = self.variant(head.loss)(jnp.zeros((2, 2, 3)), target, weight)
            np.testing.assert_allclose(found, 2 * (one + 3 * two) / 2, rtol=1e-5)


@pytest.mark.parametrize("atoms", [{}, ATOMS])
def test_the_penalty_is_on_what_is_expected(atoms):
    plain, penalized = (make_head(DDPGConfig(q_penalty=c, **atoms)) for c in (0.0, 0.1))
    output = jnp.array([[[0.0, 0.0, np.log(2.0)]] * 2]) if atoms else jnp.full((1, 2), 0.25)
    target = plain.target(KEY, jnp.zeros(2), jnp.zeros(2), output)
    weight = jnp.ones(2)
    extra = penalized.loss(output, target, weight) - plain.loss(output, target, weight)
    np.testing.assert_allclose(extra, 0.1 * 0.25**2, rtol=1e-4)


def test_a_random_subset_is_asked_each_pair_as_often_as_the_others():
    head = make_head(DDPGConfig(num_critics=4, target_subset=2))
    next_q = jnp.array([[1.0], [2.0], [4.0], [8.0]])
    keys = jax.random.split(KEY, 600)
    targets = jax.vmap(head.target, (0, None, None, None))(keys, jnp.zeros(1), jnp.ones(1), next_q)
    counts = collections.Counter(np.asarray(targets).ravel().tolist())
    # Of six pairs three hold the first critic, two more the second, and one is the third and the fourth.
    assert set(counts) == {1.0, 2.0, 4.0}
    np.testing.assert_allclose([counts[q] / 600 for q in (1.0, 2.0, 4.0)], [3 / 6, 2 / 6, 1 / 6], atol=0.05)

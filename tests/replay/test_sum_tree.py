"""The tree of sums: leaves set and found, against NumPy and against flashbax."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ddpg_jax.replay.sum_tree import empty_tree, find_leaves, set_leaves, sum_leaves


@jax.jit
def tree_of(values):
    values = jnp.asarray(values, jnp.float32)
    return set_leaves(empty_tree(values.size), jnp.arange(values.size), values)


def found(tree, mass):
    return np.asarray(jax.jit(find_leaves)(tree, jnp.asarray(mass, jnp.float32))[0]).tolist()


@pytest.mark.parametrize(("leaves", "sizes"), [(1, [8]), (8, [8]), (9, [16, 8]), (64, [64, 8]), (65, [72, 16, 8])])
def test_levels_are_whole_groups_of_eight(leaves, sizes):
    assert [level.size for level in empty_tree(leaves)] == sizes


class TreeTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_the_leaf_is_the_one_where_the_running_sum_passes_the_mass(self):
        indices, values = self.variant(find_leaves)(
            tree_of(np.array([1, 0, 2, 0.5, 0, 4])), jnp.array([0, 0.9, 1, 2.9, 3.2, 7.4])
        )
        np.testing.assert_array_equal(indices, [0, 0, 2, 2, 3, 5])
        np.testing.assert_array_equal(values, [1, 1, 2, 2, 0.5, 4])

    @chex.variants(with_jit=True, without_jit=True)
    def test_of_values_for_one_leaf_the_largest_counts(self):
        tree = tree_of(np.full(40, 9))
        tree = self.variant(set_leaves)(tree, jnp.array([3, 20, 3, 3, 20]), jnp.array([1.0, 5, 7, 2, 0.5]))
        assert (tree[0][3], tree[0][20], tree[0][4]) == (7, 5, 9)
        np.testing.assert_array_equal(tree[1][:5], [7 * 9 + 7, 8 * 9, 7 * 9 + 5, 8 * 9, 8 * 9])
        assert sum_leaves(tree) == 38 * 9 + 12

    @chex.variants(with_jit=True, without_jit=True)
    def test_trees_side_by_side(self):
        trees = jax.vmap(tree_of)(jnp.array([[1.0, 0, 3], [0, 2, 2]]))
        indices, _ = self.variant(jax.vmap(find_leaves))(trees, jnp.array([[0.5, 2], [0.5, 3]]))
        np.testing.assert_array_equal(indices, [[0, 2], [1, 2]])


def test_parents_are_sums_of_their_children_after_many_changes():
    rng, tree, set_jit = np.random.default_rng(0), empty_tree(1000), jax.jit(set_leaves)
    leaves = np.zeros(1000, np.float32)
    for _ in range(200):
        indices = rng.choice(1000, 30, replace=False)
        leaves[indices] = rng.exponential(size=30) * 10.0 ** rng.integers(-6, 6)
        tree = set_jit(tree, indices, leaves[indices])
    np.testing.assert_array_equal(tree[0][:1000], leaves)
    for level, above in itertools.pairwise(tree):
        np.testing.assert_allclose(above[: level.size // 8], level.reshape(-1, 8).sum(1), rtol=1e-6)


@pytest.mark.parametrize("leaves", [5, 16, 300, 5000])
def test_a_leaf_of_zero_is_never_found_whatever_the_rounding(leaves):
    rng = np.random.default_rng(leaves)
    values = rng.exponential(size=leaves) * 10.0 ** rng.integers(-8, 8, leaves) * (rng.random(leaves) < 0.3)
    values[rng.integers(leaves)] = 1.0
    tree = tree_of(values)
    total, edges = float(sum_leaves(tree)), np.cumsum(values)
    mass = np.concatenate(
        [[0, total, np.nextafter(np.float32(total), np.inf), total * 1.01], edges, edges * (1 + 1e-7)]
    )
    assert (values[found(tree, mass)] > 0).all()


def test_leaves_are_found_as_often_as_their_values_say():
    values = np.random.default_rng(3).exponential(size=50) * (np.arange(50) % 5 > 0)
    tree, draws = tree_of(values), 40_000
    mass = jax.random.uniform(jax.random.key(0), (draws,)) * sum_leaves(tree)
    counts = np.bincount(found(tree, mass), minlength=50)
    expected = values / values.sum() * draws
    assert counts[values == 0].sum() == 0
    chosen = values > 0
    chi_square = np.sum((counts - expected)[chosen] ** 2 / expected[chosen])
    low, high = stats.chi2.ppf([0.001, 0.999], chosen.sum() - 1)
    assert low < chi_square < high


def test_the_leaves_are_those_that_flashbax_finds():
    flashbax = pytest.importorskip("flashbax.buffers.sum_tree")
    values = np.random.default_rng(1).integers(1, 1000, 3000).astype(np.float32)
    values[-1] = 2**21 - values[:-1].sum()  # so that every sum and every share is exact
    share = (np.random.default_rng(2).integers(0, 2**21, 5000) + 0.5) / 2**21
    theirs = flashbax.set_batch_bincount(flashbax.init(values.size), jnp.arange(values.size), jnp.asarray(values))
    expected = jax.vmap(lambda one: flashbax.sample(theirs, query_value=one))(jnp.asarray(share, jnp.float32))
    assert found(tree_of(values), share * 2**21) == expected.tolist()

"""Prioritised drawing: weights, beta and priorities with numbers worked out by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ddpg_jax.config import ReplayConfig
from ddpg_jax.replay.buffer import make_replay
from ddpg_jax.replay.ring import Ring
from ddpg_jax.replay.selection import proportional_selector
from ddpg_jax.types import EnvSpec, transition_struct

SPEC = EnvSpec(jax.ShapeDtypeStruct((1,), jnp.float32), -np.ones(1), np.ones(1))


def prioritized(length=8, num_envs=1, **settings):
    config = ReplayConfig(capacity=length * num_envs, sampling="prioritized", **settings)
    return proportional_selector(config, Ring(length, num_envs))


def with_errors(selector, errors):
    """A state with one row for each error."""
    state = selector.init()
    for row in range(len(errors)):
        state = selector.add(state, jnp.int32(row))
    return selector.reprioritize(state, jnp.arange(len(errors)), jnp.array(errors))


def drawn(selector):
    """Rows and their weights, none of them lost."""

    def draw(key, state, size):
        indices, power = selector.draw(key, state, size)
        return indices, selector.weights(state, power, jnp.zeros(power.shape, bool))

    return draw


class SelectorTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_weights_by_hand(self):
        # Priorities 1, 4, 16 and beta 0.5: relative to the rarest row of the batch, 1, 1/2 and 1/4.
        selector = prioritized(batch_size=8, priority_exponent=2.0, importance_exponent=0.5, importance_steps=0)
        state = with_errors(selector, [1.0, -2.0, 4.0])
        indices, weight = self.variant(drawn(selector))(jax.random.key(0), state, jnp.int32(3))
        rarest = {0: 1.0, 1: 0.5, 2: 0.25}
        expected = np.array([rarest[index] for index in indices.tolist()])
        np.testing.assert_allclose(weight, expected / expected.max(), rtol=1e-5)
        assert len(set(indices.tolist())) > 1

    @chex.variants(with_jit=True, without_jit=True)
    def test_new_rows_and_errors_that_are_not_finite_get_the_largest_priority_so_far(self):
        selector = prioritized(batch_size=1, priority_exponent=0.5, num_envs=2)
        state = self.variant(selector.add)(selector.init(), jnp.int32(0))
        np.testing.assert_array_equal(state.tree[0][:4], [1, 1, 0, 0])
        state = self.variant(selector.reprioritize)(state, jnp.array([0, 1]), jnp.array([9.0, jnp.nan]))
        np.testing.assert_allclose(state.tree[0][:4], [3, 3, 0, 0], rtol=1e-6)
        state = self.variant(selector.reprioritize)(state, jnp.array([0, 1, 0]), jnp.array([0.0, 0.25, 0.04]))
        np.testing.assert_allclose(state.tree[0][:4], [0.2, 0.5, 0, 0], rtol=1e-4)
        state = self.variant(selector.add)(state, jnp.int32(1))
        np.testing.assert_allclose(state.tree[0][:5], [0.2, 0.5, 3, 3, 0], rtol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    def test_beta_rises_with_the_steps_to_one_and_stays(self):
        selector = prioritized(
            batch_size=16, num_envs=2, priority_exponent=1.0, importance_exponent=0.5, importance_steps=8
        )
        state = selector.reprioritize(selector.add(selector.init(), 0), jnp.arange(2), jnp.array([1.0, 4.0]))
        for steps, beta in [(0, 0.5), (2, 0.625), (4, 0.75), (8, 1.0), (2**31 - 1, 1.0)]:
            _, weight = self.variant(drawn(selector))(jax.random.key(1), state._replace(steps=jnp.int32(steps)), 2)
            np.testing.assert_allclose(weight.min(), 4.0**-beta, rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_errors_of_any_size_leave_every_row_drawable(self):
        selector = prioritized(batch_size=4, priority_exponent=8.0)
        state = self.variant(selector.reprioritize)(
            with_errors(selector, [1.0, 1.0, 1.0]), jnp.arange(3), jnp.array([0.0, 3e38, -1.0])
        )
        chex.assert_tree_all_finite(state)
        assert (state.tree[0][:3] > 0).all()
        chex.assert_tree_all_finite(self.variant(drawn(selector))(jax.random.key(0), state, 3))

    @chex.variants(with_jit=True, without_jit=True)
    def test_a_lost_row_is_not_drawn_again_and_counts_nowhere(self):
        selector = prioritized(batch_size=8, priority_exponent=1.0, importance_exponent=1.0)
        state = with_errors(selector, [0.01, 1.0, 4.0])
        weight = self.variant(selector.weights)(state, jnp.array([0.01, 1.0, 4.0]), jnp.array([True, False, False]))
        np.testing.assert_allclose(weight, [0, 1, 0.25])
        none = self.variant(selector.weights)(state, jnp.array([0.01, 1.0]), jnp.array([True, True]))
        np.testing.assert_array_equal(none, [0, 0])
        told = jnp.array([0, 2, 2]), jnp.array([9.0, 99.0, jnp.inf]), jnp.array([False, True, True])
        for after in (
            self.variant(selector.reprioritize)(state, *told),
            self.variant(selector.add)(state, jnp.int32(1), *told),
        ):
            np.testing.assert_allclose(after.tree[0][jnp.array([0, 2])], [9, 0], rtol=1e-4)
            np.testing.assert_allclose(after.largest, 9, rtol=1e-4)


def test_the_count_of_steps_stays_at_the_largest_int32():
    selector = prioritized(num_envs=3, batch_size=1)
    state = selector.init()._replace(steps=jnp.int32(2**31 - 3))
    state = selector.add(state, jnp.int32(0))
    assert int(state.steps) == 2**31 - 1
    assert int(selector.add(state, jnp.int32(1)).steps) == 2**31 - 1


def test_rows_are_drawn_with_their_probability():
    selector, errors = prioritized(32, batch_size=1), np.random.default_rng(0).exponential(size=30)
    state = with_errors(selector, errors.astype(np.float32))
    keys = jax.random.split(jax.random.key(5), 30_000)
    drawn = jax.jit(jax.vmap(lambda key: selector.draw(key, state, jnp.int32(30)).indices))(keys)
    counts = np.bincount(np.asarray(drawn).ravel(), minlength=30)
    expected = (errors + 1e-6) ** 0.6
    expected *= counts.sum() / expected.sum()
    chi_square = np.sum((counts - expected) ** 2 / expected)
    low, high = stats.chi2.ppf([0.001, 0.999], 29)
    assert counts.size == 30
    assert low < chi_square < high


def test_one_row_is_drawn_from_each_part_of_the_sum():
    selector = prioritized(32, batch_size=64, priority_exponent=1.0)
    errors = np.random.default_rng(0).exponential(size=30).astype(np.float32)
    indices = np.asarray(selector.draw(jax.random.key(2), with_errors(selector, errors), jnp.int32(30)).indices)
    share = 64 * errors / errors.sum()
    assert (np.diff(indices) >= 0).all()
    assert (np.abs(np.bincount(indices, minlength=30) - share) < 2).all()


def test_an_overwritten_row_has_the_priority_of_a_new_one():
    selector = prioritized(3, batch_size=1, priority_exponent=1.0)
    state = with_errors(selector, [0.5, 0.25, 0.125])
    np.testing.assert_allclose(selector.add(state, jnp.int32(1)).tree[0][:3], [0.5, 1, 0.125], rtol=1e-4)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_seeds_side_by_side_are_the_seeds_one_by_one(num_envs):
    replay = make_replay(SPEC, ReplayConfig(capacity=12, batch_size=5, n_step=2, sampling="prioritized"), num_envs)
    step = jax.tree.map(lambda leaf: jnp.ones((num_envs, *leaf.shape), leaf.dtype), transition_struct(SPEC))

    def run(key, error):
        state = replay.add(replay.add(replay.init(), step), step)
        sample = replay.sample(key, state)
        state = replay.reprioritize(state, sample.indices, error * sample.indices)
        return replay.sample(key, replay.add(state, step))

    keys, errors = jax.random.split(jax.random.key(0), 3), jnp.arange(3.0)
    together = jax.jit(jax.vmap(run))(keys, errors)
    for seed in range(3):
        one = jax.jit(run)(keys[seed], errors[seed])
        chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[seed], together), one, rtol=1e-6)


def test_priorities_have_64_bits_where_jax_has_them():
    with jax.enable_x64(True):
        selector = prioritized(8, batch_size=4)
        state = with_errors(selector, [1.0, 2.0])
        indices, weight = jax.jit(drawn(selector))(jax.random.key(0), state, jnp.int32(2))
    assert (indices.dtype, weight.dtype, state.tree[0].dtype, state.steps.dtype) == (
        np.int32, np.float64, np.float64, np.int32,
    )  # fmt: skip

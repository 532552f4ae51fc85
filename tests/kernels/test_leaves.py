"""Norms, Adam and the step of targets by the kernels, against optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ddpg_jax.kernels import leaves
from ddpg_jax.native import library

pytestmark = pytest.mark.skipif(not library.are_usable(), reason="the kernels were not compiled for this machine")

# One number, none, less than a vector, a page and one more number, several pages.
PAGE = 1024
SHAPES = [(), (0,), (7,), (PAGE,), (PAGE + 1,), (130, 97)]


def make_tree(seed, least=-1.0):
    rng = np.random.default_rng(seed)
    return {str(shape): jnp.asarray(rng.uniform(least, 1, shape), jnp.float32) for shape in SHAPES}


def close(found, wanted, atol=1e-7):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=atol)


def test_the_norm_is_that_of_all_numbers():
    tree = make_tree(0)
    flat = np.concatenate([np.ravel(leaf) for leaf in tree.values()]).astype(np.float64)
    close(jax.jit(leaves.global_norm)(tree), np.linalg.norm(flat))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_norm_with_a_number_that_is_not_finite_is_not_finite(value):
    tree = make_tree(0)
    tree["(130, 97)"] = tree["(130, 97)"].at[129, 96].set(value)
    assert not np.isfinite(leaves.global_norm(tree))


def test_targets_make_their_step():
    params, target = make_tree(0), make_tree(1)
    close(
        jax.jit(lambda p, t: leaves.incremental_update(p, t, 0.005))(params, target),
        optax.incremental_update(params, target, 0.005),
    )


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_is_optaxs_over_many_steps(decay):
    chain = optax.chain(optax.add_decayed_weights(decay), optax.adam(1e-2))
    ours = theirs = make_tree(0)
    moments, state = leaves.Moments(*[jax.tree.map(jnp.zeros_like, ours)] * 2), chain.init(theirs)
    step = jax.jit(lambda *args: leaves.adam(*args[:3], 0.5, decay, 1e-2, args[3]))
    for count in range(1, 30):
        grads = make_tree(count)
        ours, moments = step(grads, ours, moments, jnp.int32(count))
        updates, state = chain.update(jax.tree.map(lambda leaf: 0.5 * leaf, grads), state, theirs)
        theirs = optax.apply_updates(theirs, updates)
    close(ours, theirs, atol=3e-6)
    close(moments, (state[1][0].mu, state[1][0].nu))


def test_arguments_stay_as_they_are_unless_they_are_donated():
    """The kernels write into the places of their arguments where XLA gives these away, and only there."""
    params, target = make_tree(0), make_tree(1)
    before = jax.tree.map(np.array, target)
    jax.jit(lambda p, t: leaves.incremental_update(p, t, 0.5))(params, target)
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(target), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_of_a_vmap_are_those_of_single_calls():
    stacked = jax.tree.map(lambda *rows: jnp.stack(rows), make_tree(0), make_tree(1))
    norms = jax.jit(jax.vmap(leaves.global_norm))(stacked)
    close(norms, jnp.stack([leaves.global_norm(make_tree(0)), leaves.global_norm(make_tree(1))]))


def test_small_trees_and_other_dtypes_are_left_to_xla():
    assert leaves.fit(make_tree(0))
    assert not leaves.fit({"few": jnp.ones(leaves.FEWEST - 1)})
    assert not leaves.fit(jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), make_tree(0)))

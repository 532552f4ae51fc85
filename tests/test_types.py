"""Actions between [-1, 1] and the environment's unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.action_bounds import scale_action, unscale_action
from ddpg_jax.types import EnvSpec

TENTHS = np.arange(-20, 21) / 10
PAIRS = np.array([(low, high) for low in TENTHS for high in TENTHS if low < high])
# Bounds whose middle or half range float32 rounds: far from zero, of unlike sizes, tiny.
PAIRS = np.concatenate([PAIRS, [[1000, 1000.1], [-1e6, 0.3], [-0.1, 7e5], [-3e-9, 1e-9], [-3e38, 3.1e38], [0, 1e-30]]])
ONES = np.ones(len(PAIRS))


def bounds(dtype):
    low, high = PAIRS.T.astype(dtype)
    return low, high, EnvSpec(jax.ShapeDtypeStruct((1,), jnp.float32), low.astype(float), high.astype(float))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("wrap", [jax.jit, lambda function: function])
def test_the_ends_are_the_bounds_as_float32(wrap, dtype):
    low, high, spec = bounds(dtype)
    scale = wrap(lambda action: scale_action(action, spec))
    for factor in (1, 1.5, np.inf):
        ends = scale(jnp.float32(-factor * ONES)), scale(jnp.float32(factor * ONES))
        assert {end.dtype for end in ends} == {np.dtype(np.float32)}
        np.testing.assert_array_equal(ends[0], low.astype(np.float32))
        np.testing.assert_array_equal(ends[1], high.astype(np.float32))
    inside = np.asarray(scale(jnp.linspace(-1, 1, 1001, dtype=jnp.float32)[:, None] * ONES.astype(np.float32)))
    assert (inside >= low.astype(np.float32)).all()
    assert (inside <= high.astype(np.float32)).all()
    assert (np.diff(inside, axis=0) >= 0).all()
    assert np.isnan(scale(jnp.float32(np.nan * ONES))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("action", [np.float32, np.float64])
def test_they_are_the_bounds_on_numpy_s_arrays(action, dtype):
    low, high, spec = bounds(dtype)
    np.testing.assert_array_equal(scale_action(-ONES.astype(action), spec), low.astype(float))
    np.testing.assert_array_equal(scale_action(ONES.astype(action), spec), high.astype(float))


def test_they_are_the_bounds_in_64_bits():
    with jax.enable_x64(True):
        low, high, spec = bounds(np.float64)
        np.testing.assert_array_equal(scale_action(-jnp.array(ONES), spec), low)
        np.testing.assert_array_equal(scale_action(jnp.array(ONES), spec), high)


def test_the_middle_is_where_it_was():
    _, _, spec = bounds(np.float64)
    spec = spec._replace(action_low=np.array([-2.0, 0.0]), action_high=np.array([2.0, 10.0]))
    np.testing.assert_array_equal(scale_action(jnp.array([0.25, -0.5], jnp.float32), spec), [0.5, 2.5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bounds_are_the_ends_again(dtype):
    low, high, spec = bounds(dtype)
    for values in (low, jnp.array(low), low.astype(float)):
        np.testing.assert_array_equal(unscale_action(values, spec), -ONES)
    for values in (high, jnp.array(high), high.astype(float)):
        np.testing.assert_array_equal(unscale_action(values, spec), ONES)
    beyond = unscale_action(np.array([3.0, -3.0]), spec._replace(action_low=-np.ones(2), action_high=np.ones(2)))
    np.testing.assert_array_equal(beyond, [3, -3])

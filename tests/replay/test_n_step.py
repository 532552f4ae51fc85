"""Windows of n steps folded into one row, with numbers worked out by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.replay.n_step import fold, usable_steps
from ddpg_jax.types import Transition

NONE, TERMINATED, TRUNCATED, BOTH = ".", "T", "C", "B"
ALL = 100

# ends of the three steps, available steps -> reward, discount, next_obs; rewards 1, 2, 4, gamma 0.5
THREE_STEPS = [
    ("...", ALL, 1 + 0.5 * 2 + 0.25 * 4, 0.125, 13),
    ("T..", ALL, 1, 0, 11),
    (".T.", ALL, 1 + 0.5 * 2, 0, 12),
    ("..T", ALL, 1 + 0.5 * 2 + 0.25 * 4, 0, 13),
    ("C..", ALL, 1, 0.5, 11),
    (".C.", ALL, 1 + 0.5 * 2, 0.25, 12),
    ("..C", ALL, 1 + 0.5 * 2 + 0.25 * 4, 0.125, 13),
    ("B..", ALL, 1, 0, 11),
    ("CT.", ALL, 1, 0.5, 11),
    ("TC.", ALL, 1, 0, 11),
    ("...", 1, 1, 0.5, 11),
    ("...", 2, 1 + 0.5 * 2, 0.25, 12),
    ("...", 3, 1 + 0.5 * 2 + 0.25 * 4, 0.125, 13),
    ("..T", 2, 1 + 0.5 * 2, 0.25, 12),
    (".T.", 2, 1 + 0.5 * 2, 0, 12),
    ("T..", 2, 1, 0, 11),
]


def window(ends):
    """Steps with obs 0, 1, 2, true successors 11, 12, 13, and rewards 1, 2, 4, `[n, ...]`."""
    steps = jnp.arange(len(ends), dtype=jnp.float32)
    return Transition(
        obs=steps[:, None],
        action=steps[:, None] / 10,
        reward=2**steps,
        terminated=jnp.array([end in "TB" for end in ends]),
        truncated=jnp.array([end in "CB" for end in ends]),
        next_obs=steps[:, None] + 11,
    )


def stack(windows):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *windows)


def check(batch, reward, discount, next_obs):
    rows = len(reward)
    np.testing.assert_array_equal(batch.reward, np.array(reward, np.float32))
    np.testing.assert_array_equal(batch.discount, np.array(discount, np.float32))
    np.testing.assert_array_equal(batch.next_obs[:, 0], next_obs)
    np.testing.assert_array_equal(batch.obs, np.zeros((rows, 1)))
    np.testing.assert_array_equal(batch.action, np.zeros((rows, 1)))
    np.testing.assert_array_equal(batch.weight, np.ones(rows))


class FoldTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_three_steps_stop_at_an_end_and_at_the_write_head(self):
        ends, available, reward, discount, next_obs = zip(*THREE_STEPS, strict=True)
        batch = self.variant(lambda w, n: fold(w, n, 0.5))(stack(map(window, ends)), jnp.array(available))
        check(batch, reward, discount, next_obs)

    @chex.variants(with_jit=True, without_jit=True)
    def test_one_step_is_the_transition_itself(self):
        windows = stack(map(window, [NONE, TERMINATED, TRUNCATED, BOTH]))
        batch = self.variant(lambda w, n: fold(w, n, 0.5))(windows, jnp.full(4, ALL))
        check(batch, [1] * 4, [0.5, 0, 0.5, 0], [11] * 4)

    @chex.variants(with_jit=True, without_jit=True)
    def test_usable_steps_are_at_least_one_and_at_most_the_window(self):
        ended = jnp.array([[False] * 3, [True, False, True], [False, True, False], [False] * 3])
        used = self.variant(usable_steps)(ended, jnp.array([9, 9, 1, 2]))
        np.testing.assert_array_equal(used, [3, 1, 1, 2])


def test_folding_under_vmap_equals_folding_at_once():
    ends, available, reward, discount, next_obs = zip(*THREE_STEPS, strict=True)
    windows = jax.tree.map(lambda leaf: leaf.reshape(4, 4, *leaf.shape[1:]), stack(map(window, ends)))
    batch = jax.vmap(fold, in_axes=(0, 0, None))(windows, jnp.array(available).reshape(4, 4), 0.5)
    check(jax.tree.map(lambda leaf: leaf.reshape(16, *leaf.shape[2:]), batch), reward, discount, next_obs)


def test_discount_zero_keeps_the_first_reward_alone():
    batch = fold(stack([window("...")]), jnp.array([ALL]), 0.0)
    check(batch, [1], [0], [13])


def test_observations_of_several_dimensions_and_of_bytes_are_taken_whole():
    images = jnp.arange(2 * 3 * 4 * 5, dtype=jnp.uint8).reshape(2, 3, 4, 5)
    windows = stack([window(".C."), window("...")])._replace(obs={"image": images}, next_obs={"image": images})
    batch = fold(windows, jnp.full(2, ALL), 0.5)
    assert batch.next_obs["image"].dtype == jnp.uint8
    np.testing.assert_array_equal(batch.obs["image"], images[:, 0])
    np.testing.assert_array_equal(batch.next_obs["image"], [images[0, 1], images[1, 2]])

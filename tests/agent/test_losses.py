"""The equations, with numbers worked out by hand, compiled, not compiled and vmapped."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ddpg_jax.agent.losses import actor_loss, critic_loss, smooth_target_action, td_target, value_penalty

REWARD = jnp.array([1.0, 2.0, 3.0])
DISCOUNT = jnp.array([0.5, 0.9, 0.0])
NEXT_Q = jnp.array([4.0, -10.0, 50.0])
TARGET = [3.0, -7.0, 3.0]

Q = jnp.array([[4.0, -7.0, 1.0], [3.0, -5.0, 3.0]])
WEIGHT = jnp.array([3.0, 1.0, 0.75])
CRITIC_LOSS = (3 * 1 + 0 + 0.75 * 4) / 3 + (0 + 1 * 4 + 0) / 3


class LossesTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_td_target_bootstraps_and_discount_zero_stops_it(self):
        np.testing.assert_allclose(self.variant(td_target)(REWARD, DISCOUNT, NEXT_Q), TARGET, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_huber_loss_is_linear_beyond_one(self):
        loss = self.variant(lambda *args: critic_loss(*args, loss=optax.huber_loss))(Q, jnp.array(TARGET), WEIGHT)
        np.testing.assert_allclose(loss, (3 * 0.5 + 0 + 0.75 * 1.5) / 3 + (0 + 1.5 + 0) / 3, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_the_penalty_is_the_mean_square_of_each_critic(self):
        np.testing.assert_allclose(self.variant(lambda q: value_penalty(q, 0.1))(Q), 0.1 * (66 + 43) / 3, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_critic_loss_is_weighted_averaged_over_rows_and_summed_over_critics(self):
        loss = self.variant(critic_loss)(Q, jnp.array(TARGET), WEIGHT)
        np.testing.assert_allclose(loss, CRITIC_LOSS, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_actor_loss_is_minus_the_mean(self):
        np.testing.assert_allclose(self.variant(actor_loss)(jnp.array([1.0, 2.0, 6.0])), -3.0)

    @chex.variants(with_jit=True, without_jit=True)
    def test_smoothing_stays_within_its_clip_and_the_action_bounds(self):
        action = jnp.array([[0.0, 0.9, -0.9]] * 2000)
        smooth = self.variant(lambda key, action: smooth_target_action(key, action, 0.2, 0.3))
        low, high = np.asarray(smooth(jax.random.key(0), action)).min(0), smooth(jax.random.key(0), action).max(0)
        np.testing.assert_allclose(low, [-0.3, 0.6, -1.0], atol=1e-6)
        np.testing.assert_allclose(high, [0.3, 1.0, -0.6], atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_smoothing_has_the_standard_deviation_asked_for(self):
        smooth = self.variant(lambda key, action: smooth_target_action(key, action, 0.2, 10.0))
        np.testing.assert_allclose(smooth(jax.random.key(1), jnp.zeros((20_000, 1))).std(), 0.2, rtol=0.02)

    @chex.variants(with_jit=True, without_jit=True)
    def test_smoothing_draws_once_for_each_row_and_dimension_and_only_by_its_key(self):
        smooth = self.variant(lambda key, action: smooth_target_action(key, action, 0.2, 0.5))
        first, again = (smooth(jax.random.key(0), jnp.zeros((8, 3))) for _ in range(2))
        other = smooth(jax.random.key(1), jnp.zeros((8, 3)))
        np.testing.assert_array_equal(first, again)
        assert not np.any(np.asarray(first) == other)
        assert np.unique(first).size > 20  # a few may meet at the clip


def test_no_gradient_flows_through_the_target():
    grads = jax.grad(lambda *args: td_target(*args).sum(), argnums=(0, 1, 2))(REWARD, DISCOUNT, NEXT_Q)
    chex.assert_trees_all_equal(grads, jax.tree.map(jnp.zeros_like, grads))


def test_the_losses_under_vmap_equal_the_losses_one_by_one():
    def twice(*arrays):
        return [jnp.stack([array, 2 * array]) for array in arrays]

    # Scaling reward and Q by two scales the target by two; scaling Q, target and weight scales the loss by eight.
    targets = jax.vmap(td_target, in_axes=(0, None, 0))(*twice(REWARD), DISCOUNT, *twice(NEXT_Q))
    np.testing.assert_allclose(targets, np.outer([1, 2], TARGET), rtol=1e-6)
    losses = jax.vmap(critic_loss)(*twice(Q, jnp.array(TARGET), WEIGHT))
    np.testing.assert_allclose(losses, [CRITIC_LOSS, 8 * CRITIC_LOSS], rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(actor_loss)(*twice(jnp.array([1.0, 2.0, 6.0]))), [-3.0, -6.0])


def test_smoothing_under_vmap_draws_for_each_key():
    keys, action = jax.random.split(jax.random.key(0), 3), jnp.zeros((4, 2))
    together = jax.vmap(lambda key: smooth_target_action(key, action, 0.2, 0.5))(keys)
    one_by_one = jnp.stack([smooth_target_action(key, action, 0.2, 0.5) for key in keys])
    np.testing.assert_allclose(together, one_by_one, rtol=1e-6)

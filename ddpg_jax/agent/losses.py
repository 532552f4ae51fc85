"""The equations of DDPG and TD3, one function each, free of networks and optimisers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ddpg_jax.types import Array, Key

ElementLoss = Callable[[Array], Array]


def td_target(reward: Array, discount: Array, next_q: Array) -> Array:
    """One-step (or folded n-step) bootstrapped target.

    y = r + d Q'(s', a')

    Args:
        reward: `[B]`.
        discount: gamma^m, 0 where the task terminated; a time limit does not make it 0, `[B]`.
        next_q: what the target critics agree on at the target action, `[B]`.

    Returns:
        The target, without gradient, `[B]`.

    Source: Lillicrap et al. (2015), algorithm 1.
    """
    return jax.lax.stop_gradient(reward + discount * next_q)


def critic_loss(q: Array, target: Array, weight: Array, loss: ElementLoss = jnp.square) -> Array:
    """Weighted loss of the TD error, summed over the ensemble.

    L = sum_k 1/B sum_i w_i l(Q_k(s_i, a_i) - y_i)

    Args:
        q: `[K, B]`.
        target: `[B]`.
        weight: importance weights, ones for uniform replay, `[B]`.
        loss: l, of each error; the square, or `optax.huber_loss`.

    Source: Lillicrap et al. (2015), algorithm 1; weights: Schaul et al. (2016), section 3.4.
    """
    return jnp.mean(weight * loss(q - target), axis=-1).sum()


def value_penalty(q: Array, coefficient: float) -> Array:
    """L2 penalty on the values themselves, which keeps them from running away.

    P = c sum_k 1/B sum_i Q_k(s_i, a_i)^2

    Args:
        q: `[K, B]`.
        coefficient: c.
    """
    return coefficient * jnp.mean(jnp.square(q), axis=-1).sum()


def actor_loss(q: Array) -> Array:
    """Deterministic policy gradient as a loss.

    L = -1/B sum_i Q(s_i, mu(s_i))

    Args:
        q: the critic at the actor's own actions, `[B]`.

    Source: Lillicrap et al. (2015), equation 6.
    """
    return -jnp.mean(q)


def smooth_target_action(key: Key, action: Array, stddev: float, clip: float) -> Array:
    """Target policy smoothing, one draw for each row and dimension, shared by all critics.

    a' = clip(mu'(s') + clip(e, -c, c), -1, 1) with e ~ N(0, stddev^2)

    Args:
        key: consumed here.
        action: target actions in [-1, 1], `[B, A]`.
        stddev: in units of half the action range.
        clip: bound c of the noise, in the same unit.

    Source: Fujimoto et al. (2018), equation 14.
    """
    noise = stddev * jax.random.normal(key, action.shape, action.dtype)
    return jnp.clip(action + jnp.clip(noise, -clip, clip), -1, 1)

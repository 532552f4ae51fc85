"""n steps of experience folded into one row of a batch, when sampling."""

import jax
import jax.numpy as jnp

from ddpg_jax.types import Array, Batch, Transition


def usable_steps(ended: Array, available: Array) -> Array:
    """How many steps of a window may be used: up to an episode's end, and not past the write head.

    Args:
        ended: terminated or truncated, `[B, n]`.
        available: steps from the window's first row to the newest one, that one included, `[B]`.

    Returns:
        m with 1 <= m <= n, int32 `[B]`.
    """
    window = ended.shape[1]
    until_end = jnp.where(ended.any(axis=1), jnp.argmax(ended, axis=1) + 1, window)
    return jnp.minimum(until_end, available).astype(jnp.int32)


def fold(window: Transition, available: Array, discount: float) -> Batch:
    """Fold each window into one transition of m <= n steps.

    R = sum_{i<m} gamma^i r_i;  d = gamma^m (1 - terminated_{m-1});  s' = s'_{m-1}

    A window that meets an episode's end or the write head is shorter, with the discount of the steps
    really used, so that every stored row can start one.

    Args:
        window: consecutive rows of one environment, leaves `[B, n, ...]`.
        available: steps from the first row to the newest one, `[B]`.
        discount: gamma.

    Returns:
        The batch, with weights of one.

    Source: Sutton and Barto (2018), section 7.1; Barth-Maron et al. (2018), equation 2.
    """
    used = usable_steps(window.terminated | window.truncated, available)
    steps = jnp.arange(window.reward.shape[1])
    dtype = window.reward.dtype
    powers = jnp.where(steps < used[:, None], jnp.asarray(discount, dtype) ** steps, 0)
    last = (used - 1)[:, None]
    final = jax.tree.map(lambda leaf: take_step(leaf, last), (window.next_obs, window.terminated))
    first = jax.tree.map(lambda leaf: leaf[:, 0], (window.obs, window.action))
    return Batch(
        obs=first[0],
        action=first[1],
        reward=jnp.sum(powers * window.reward, axis=1),
        discount=jnp.where(final[1], 0, jnp.asarray(discount, dtype) ** used),
        next_obs=final[0],
        weight=jnp.ones_like(window.reward[:, 0]),
    )


def clip_rewards(window: Transition, limit: Array | None) -> Transition:
    """A window `[B, n]` with each reward in [-limit, limit]; as it is where there is no limit."""
    return window if limit is None else window._replace(reward=jnp.clip(window.reward, -limit, limit))


def take_step(leaf: Array, step: Array) -> Array:
    """The entry `step` `[B, 1]` of each window of a leaf `[B, n, ...]`."""
    if leaf.shape[1] == 1:
        return leaf[:, 0]
    index = step.reshape(step.shape + (1,) * (leaf.ndim - 2))
    return jnp.take_along_axis(leaf, index, axis=1).squeeze(1)

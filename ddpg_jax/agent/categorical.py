"""A critic that tells the distribution of the return: its equations, free of networks and optimisers.

Shapes: L atoms, the values z_1 < ... < z_L that the distribution knows.
"""

import jax
import jax.numpy as jnp

from ddpg_jax.types import Array


def expectation(logits: Array, atoms: Array) -> Array:
    """Q = sum_j p_j z_j with p = softmax(logits).

    Args:
        logits: `[..., L]`.
        atoms: `[L]`.

    Returns:
        `[...]`.
    """
    return jax.nn.softmax(logits) @ atoms


def project(reward: Array, discount: Array, probabilities: Array, atoms: Array) -> Array:
    """The distribution of r + d Z, brought back to the atoms: each shifted atom is shared by its two neighbours.

    p'_i = sum_j [1 - |clip(r + d z_j, z_1, z_L) - z_i| / delta]_0^1 p_j

    Args:
        reward: `[B]`.
        discount: gamma^m, 0 where the task terminated, `[B]`.
        probabilities: of Z, `[B, L]`.
        atoms: equally spaced by delta, `[L]`.

    Returns:
        Probabilities without gradient, `[B, L]`.

    Source: Bellemare et al. (2017), equation 7; Barth-Maron et al. (2018), appendix A.
    """
    shifted = jnp.clip(reward[:, None] + discount[:, None] * atoms, atoms[0], atoms[-1])
    distance = jnp.abs(shifted[:, None, :] - atoms[:, None]) / (atoms[1] - atoms[0])
    return jax.lax.stop_gradient(jnp.einsum("bij,bj->bi", jnp.clip(1 - distance, 0, 1), probabilities))


def cross_entropy(logits: Array, target: Array) -> Array:
    """H(p', p) = -sum_i p'_i log p_i of each row, `[..., L]` both.

    Source: Barth-Maron et al. (2018), section 3.
    """
    return -jnp.sum(target * jax.nn.log_softmax(logits), axis=-1)


def huber_divergence(logits: Array, target: Array) -> Array:
    """The divergence D = KL(p' | p) up to 1/2, and from there on linear in its root: h(sqrt(2 D)), h being Huber's.

    h(e) = e^2 / 2 where |e| <= 1, else |e| - 1/2

    A surprise of few rows thus weighs less. Logits and target are `[..., L]`.

    Source: Huber (1964).
    """
    entropy = -jnp.sum(jax.scipy.special.xlogy(target, target), axis=-1)
    divergence = cross_entropy(logits, target) - entropy
    # The root is taken where it is used alone: its gradient at zero is none.
    beyond = jnp.sqrt(2 * jnp.maximum(divergence, 0.5)) - 0.5
    return jnp.where(divergence <= 0.5, divergence, beyond)

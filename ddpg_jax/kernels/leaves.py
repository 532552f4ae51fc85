"""Norms, Adam and the step of targets over all leaves of a tree, each as one kernel (native/leaves.c)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.kernels.primitive import call, is_allowed
from ddpg_jax.types import Array, Tree

# Numbers below which XLA's own kernels are as fast.
FEWEST = 8192


class Moments(NamedTuple):
    """Adam's running means of a gradient and of its square, trees like the parameters."""

    mean: Tree
    variance: Tree


def fit(*trees: Tree) -> bool:
    """Whether the kernels can do this: float32, and enough numbers to be worth while."""
    leaves = jax.tree.leaves(trees)
    single = all(leaf.dtype == jnp.float32 for leaf in leaves)
    return single and sum(leaf.size for leaf in leaves) >= FEWEST and is_allowed()


def global_norm(tree: Tree) -> Array:
    """Euclidean norm over all leaves, |x| = sqrt(sum x_i^2)."""
    return call("ddpg_jax_norm", norm_in_jax, [jax.ShapeDtypeStruct((), jnp.float32)], *jax.tree.leaves(tree))[0]


def norm_in_jax(shapes: Sequence[Any], *leaves: Array) -> list[Array]:
    """The kernel's result by XLA."""
    return [jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in leaves))]


def adam(
    grads: Tree, params: Tree, moments: Moments, scale: Array | float, decay: float, rate: Array | float, count: Array,
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
) -> tuple[Tree, Moments]:  # fmt: skip
    """One step of Adam (Kingma and Ba, 2015, algorithm 1), in place where XLA can.

    g <- scale g + decay theta
    m <- b1 m + (1 - b1) g
    v <- b2 v + (1 - b2) g^2
    theta <- theta - rate m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

    Args:
        grads: g.
        params: theta.
        moments: m and v.
        scale: of the gradient, as clipping asks.
        decay: coefficient of the L2 penalty.
        rate: learning rate.
        count: t, this step's number, from 1.
        b1: decay rate of m.
        b2: decay rate of v.
        eps: in the denominator.
    """
    numbers = [scale, decay, rate / (1 - b1**count), 1 / (1 - b2**count), b1, b2, eps]
    stacked = jnp.stack([jnp.asarray(number, jnp.float32) for number in numbers])
    return update_in_place("ddpg_jax_adam", adam_in_jax, (params, moments), stacked, grads)


def adam_in_jax(shapes: Sequence[Any], numbers: Array, *leaves: Array) -> list[Array]:
    """The kernel's results by XLA."""
    count = len(leaves) // 4
    scale, decay, rate, correction, b1, b2, eps = numbers
    kinds = [leaves[kind * count : (kind + 1) * count] for kind in range(4)]
    results = []
    for g, p, m, v in zip(*kinds, strict=True):
        slope = scale * g + decay * p
        mean, variance = b1 * m + (1 - b1) * slope, b2 * v + (1 - b2) * slope**2
        results.append((p - rate * mean / (jnp.sqrt(variance * correction) + eps), mean, variance))
    return [leaf for kind in zip(*results, strict=True) for leaf in kind]


def incremental_update(params: Tree, target: Tree, tau: float) -> Tree:
    """A step of the targets: theta' <- tau theta + (1 - tau) theta'."""
    return update_in_place("ddpg_jax_follow", incremental_update_in_jax, target, jnp.float32(tau), params)


def incremental_update_in_jax(shapes: Sequence[Any], tau: Array, *leaves: Array) -> list[Array]:
    """The kernel's results by XLA."""
    count = len(leaves) // 2
    return [tau * p + (1 - tau) * target for p, target in zip(leaves[:count], leaves[count:], strict=True)]


def update_in_place(target: str, same: Callable[..., Sequence[Array]], old: Tree, *arguments: Tree) -> Tree:
    """A kernel that takes arguments and then a tree, and writes what it makes of the tree into its place."""
    before, (leaves, structure) = jax.tree.leaves(arguments), jax.tree.flatten(old)
    results = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    places = [(len(before) + index, index) for index in range(len(leaves))]
    return jax.tree.unflatten(structure, call(target, same, results, *before, *leaves, places=places))

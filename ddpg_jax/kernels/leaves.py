"""Norms, Adam and the step of targets over all leaves of a tree, each as one kernel (leaves.c)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

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
    return all(leaf.dtype == jnp.float32 for leaf in leaves) and sum(leaf.size for leaf in leaves) >= FEWEST


def global_norm(tree: Tree) -> Array:
    """Euclidean norm over all leaves, |x| = sqrt(sum x_i^2)."""
    norm = jax.ffi.ffi_call("ddpg_jax_norm", jax.ShapeDtypeStruct((), jnp.float32), vmap_method="sequential")
    return norm(*jax.tree.leaves(tree))


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
    return change("ddpg_jax_adam", (params, moments), stacked, grads)


def follow(params: Tree, target: Tree, tau: float) -> Tree:
    """A step of the targets: theta' <- tau theta + (1 - tau) theta'."""
    return change("ddpg_jax_follow", target, jnp.float32(tau), params)


def change(target: str, old: Tree, *arguments: Tree) -> Tree:
    """A kernel that takes arguments and then a tree, and writes what it makes of the tree into its place."""
    before, (leaves, structure) = jax.tree.leaves(arguments), jax.tree.flatten(old)
    results = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    places = {len(before) + index: index for index in range(len(leaves))}
    call = jax.ffi.ffi_call(target, results, input_output_aliases=places, vmap_method="sequential")
    return jax.tree.unflatten(structure, call(*before, *leaves))

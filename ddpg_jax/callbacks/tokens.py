"""Order between parts of a program that need nothing of each other, by a scalar that one gives and the other waits for.

XLA chooses the order of kernels that do not depend on each other, and mostly runs one after the other; an
`optimization_barrier` makes no difference to it on CPU. A token is a 0 of which XLA does not know that it is 0.
"""

import jax
import jax.numpy as jnp

from ddpg_jax.types import Array, Tree

# Dimensions of a batch's numbers, `[U, B]`, and of its vectors.
NUMBERS_OF_ROWS, VECTORS_OF_ROWS = 2, 3


def token_of(array: Array) -> Array:
    """A token that is there when an array is, whatever that is."""
    number = jax.lax.bitcast_convert_type(array.ravel()[0].astype(jnp.float32), jnp.int32)
    return ((number | 1) == 0).astype(jnp.float32)


def wait_for(token: Array, tree: Tree, rank: int) -> Tree:
    """The same tree, there only when a token is, which is added to its leaves of at most so many dimensions."""
    return jax.tree.map(
        lambda leaf: leaf + token.astype(leaf.dtype) if leaf.ndim <= rank and leaf.dtype != jnp.bool_ else leaf, tree
    )

"""A multilayer perceptron of ReLU layers by one kernel forward and one backward (kernels/*.c), differentiable."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import CustomVJPPrimal

from ddpg_jax.types import Array

# As in network.h; WIDEST: columns of a panel at most (vectors.h).
MOST_LAYERS, FEW_INPUTS, WIDEST = 16, 32, 32


class Layer(NamedTuple):
    """An affine layer.

    Attributes:
        kernel: `[I, O]`.
        bias: `[O]`.
    """

    kernel: Array
    bias: Array


class Residuals(NamedTuple):
    """What the backward pass needs.

    Attributes:
        x: the inputs.
        layers: the weights.
        hidden: activations in the kernels' own layout, with N and B rounded up, `[N/32, B, 32]` each.
        of_x: empty if the gradient of the inputs is asked for, else None.
        of_layers: empty if those of the layers are, else None.
    """

    x: Array
    layers: list[Layer]
    hidden: list[Array]
    of_x: tuple[()] | None
    of_layers: tuple[()] | None


def fits(x: Array, layers: list[Layer]) -> bool:
    """Whether the kernels can do this: float32, and at least one hidden layer.

    The number of rows must be known: an exported policy (`jax.export`) leaves it open, and holds no kernel of ours.
    """
    single = all(leaf.dtype == jnp.float32 for leaf in (x, *jax.tree.leaves(layers)))
    rows = x.shape[0] if x.ndim == 2 and isinstance(x.shape[0], int) else 0
    return single and 2 <= len(layers) <= MOST_LAYERS and rows >= 1


@jax.custom_vjp
def mlp(x: Array, layers: list[Layer]) -> Array:
    """Outputs of a network: h <- max(0, h W + b) for each hidden layer, from h = x, and h W + b for the last.

    Args:
        x: `[B, I]`.
        layers: from the inputs to the outputs; `fits` says whether they can be used.

    Returns:
        `[B, O]`.
    """
    return run_forward(x, layers, for_backward=False)[0]


def forward(x: CustomVJPPrimal, layers: list[Any]) -> tuple[Array, Residuals]:
    """The function and its residuals."""
    values = jax.tree.map(lambda leaf: leaf.value, layers, is_leaf=is_primal)
    of_layers = any(leaf.perturbed for leaf in jax.tree.leaves(layers, is_leaf=is_primal))
    out, *hidden = run_forward(x.value, values, for_backward=True)
    return out, Residuals(x.value, values, hidden, () if x.perturbed else None, () if of_layers else None)


def backward(residuals: Residuals, d_out: Array) -> tuple[Array | None, list[Layer] | None]:
    """Gradients of inputs and layers, or None where nobody asks for them."""
    x, layers, hidden, of_x, of_layers = residuals
    wanted = (None if of_x is None else x, None if of_layers is None else layers)
    leaves, structure = jax.tree.flatten(wanted)
    results = [struct(*leaf.shape) for leaf in leaves]
    gradients = call("ddpg_jax_mlp_backward", results, d_out, x, *jax.tree.leaves(layers), *hidden)
    return jax.tree.unflatten(structure, gradients)


mlp.defvjp(forward, backward, symbolic_zeros=True)


def call(target: str, results: list[jax.ShapeDtypeStruct], *arguments: Array) -> list[Array]:
    """A kernel in the program; under `vmap`, one call after the other."""
    return list(jax.ffi.ffi_call(target, results, vmap_method="sequential")(*arguments))


def run_forward(x: Array, layers: list[Layer], for_backward: bool) -> list[Array]:
    """Outputs, and the activations of hidden layers that go through memory.

    Not those of the first if every thread computes it for itself, nor of the last unless they are differentiated.
    """
    rows, sizes = x.shape[0], [layer.kernel.shape[1] for layer in layers]
    stored = sizes[1:-1] if len(sizes) > 2 and x.shape[1] <= FEW_INPUTS else sizes[:-1]
    kept = stored if for_backward else stored[:-1]
    hidden = [struct(-(-size // WIDEST), -(-rows // WIDEST) * WIDEST, WIDEST) for size in kept]
    return call("ddpg_jax_mlp_forward", [struct(rows, sizes[-1]), *hidden], x, *jax.tree.leaves(layers))


def is_primal(leaf: Any) -> bool:
    """Whether this is an argument of the function with the mark of its derivative."""
    return isinstance(leaf, CustomVJPPrimal)


def struct(*shape: int) -> jax.ShapeDtypeStruct:
    """An array of float32."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)

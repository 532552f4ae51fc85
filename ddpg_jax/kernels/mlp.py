"""A multilayer perceptron of ReLU layers as one kernel forward and two backward (mlp.c), differentiable."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import CustomVJPPrimal

from ddpg_jax.types import Array

PANEL, ROWS, MOST_LAYERS = 32, 8, 16  # as in mlp.c
# XLA's own products are faster for fewer rows (benchmarks/NOTES.md).
FEWEST_ROWS = 32


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
        activations: inputs and hidden layers in the kernels' own layout, `[N/32, B, 32]` each, rounded up.
        kernels: the weights.
        x: the inputs, or None if their gradient is not asked for.
    """

    activations: list[Array]
    kernels: list[Array]
    x: Array | None


def fits(x: Array, layers: list[Layer]) -> bool:
    """Whether the kernels can do this: float32, at least one hidden layer, and enough rows to be worth while.

    The number of rows must be known: an exported policy (`jax.export`) leaves it open, and holds no kernel of ours.
    """
    single = all(leaf.dtype == jnp.float32 for leaf in (x, *jax.tree.leaves(layers)))
    rows = x.shape[0] if x.ndim == 2 and isinstance(x.shape[0], int) else 0
    return single and 2 <= len(layers) <= MOST_LAYERS and rows >= FEWEST_ROWS


@jax.custom_vjp
def mlp(x: Array, layers: list[Layer]) -> Array:
    """Outputs of a network: h <- max(0, h W + b) for each hidden layer, from h = x, and h W + b for the last.

    Args:
        x: `[B, I]`.
        layers: from the inputs to the outputs; `fits` says whether they can be used.

    Returns:
        `[B, O]`.
    """
    (out,) = call("ddpg_jax_mlp_forward", [outputs(x, layers)], x, *jax.tree.leaves(layers))
    return out


def forward(x: CustomVJPPrimal, layers: list[Any]) -> tuple[Array, Residuals]:
    """The function and its residuals."""
    values = [Layer(layer.kernel.value, layer.bias.value) for layer in layers]
    kernels = [kernel for kernel, _ in values]
    rows, sizes = x.value.shape[0], [kernel.shape[0] for kernel in kernels]
    results = [outputs(x.value, values), *panels(rows, sizes)]
    out, *activations = call("ddpg_jax_mlp_forward", results, x.value, *jax.tree.leaves(values))
    return out, Residuals(activations, kernels, x.value if x.perturbed else None)


def backward(residuals: Residuals, d_out: Array) -> tuple[Array | None, list[Layer]]:
    """Gradients of inputs and layers; XLA leaves out the call for the layers where nobody asks for them."""
    activations, kernels, x = residuals
    hidden = [kernel.shape[0] for kernel in kernels[1:]]
    results = [*panels(d_out.shape[0], hidden), *([] if x is None else [struct(*x.shape)])]
    dz = call("ddpg_jax_mlp_backward", results, d_out, *kernels, *activations[1:])
    sizes = [shape for kernel in kernels for shape in (struct(*kernel.shape), struct(kernel.shape[1]))]
    gradients = call("ddpg_jax_mlp_gradients", sizes, d_out, *activations, *dz[: len(hidden)])
    layers = [Layer(*gradients[index : index + 2]) for index in range(0, len(gradients), 2)]
    return None if x is None else dz[-1], layers


mlp.defvjp(forward, backward, symbolic_zeros=True)


def call(target: str, results: list[jax.ShapeDtypeStruct], *arguments: Array) -> list[Array]:
    """A kernel in the program; under `vmap`, one call after the other."""
    return list(jax.ffi.ffi_call(target, results, vmap_method="sequential")(*arguments))


def outputs(x: Array, layers: list[Layer]) -> jax.ShapeDtypeStruct:
    """What comes out, `[B, O]`."""
    return struct(x.shape[0], layers[-1].kernel.shape[1])


def panels(rows: int, sizes: list[int]) -> list[jax.ShapeDtypeStruct]:
    """Activations of layers of these sizes in the kernels' layout."""
    return [struct(-(-size // PANEL), -(-rows // ROWS) * ROWS, PANEL) for size in sizes]


def struct(*shape: int) -> jax.ShapeDtypeStruct:
    """An array of float32."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)

"""A multilayer perceptron of ReLU layers by one kernel forward and one backward (native/*.c), differentiable."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.interpreters import ad, mlir

from ddpg_jax.kernels.primitive import call, is_allowed, make_primitive
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


def fits(x: Array, layers: list[Layer]) -> bool:
    """Whether the kernels can do this: float32, and at least one hidden layer.

    The number of rows must be known: a policy exported with `jax.export` may leave it open.
    """
    leaves = x, *jax.tree.leaves(layers)
    single = all(leaf.dtype == jnp.float32 for leaf in leaves)
    rows = x.shape[0] if x.ndim == 2 and isinstance(x.shape[0], int) else 0
    return single and 2 <= len(layers) <= MOST_LAYERS and rows >= 1 and is_allowed()


@jax.custom_jvp
def mlp(x: Array, layers: list[Layer]) -> Array:
    """Outputs of a network: h <- max(0, h W + b) for each hidden layer, from h = x, and h W + b for the last.

    Gradients are computed by a kernel, too; other derivatives by XLA.

    Args:
        x: `[B, I]`.
        layers: from the inputs to the outputs; `fits` says whether they can be used.

    Returns:
        `[B, O]`.
    """
    return run_forward(x, layers, for_backward=False)[0]


@functools.partial(mlp.defjvp, symbolic_zeros=True)
def differentiate(primals: tuple[Array, list[Layer]], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    """The outputs and their derivative along tangents, of which those that are 0 are marked."""
    x, layers = primals
    of_x, of_layers = ([not is_zero(leaf) for leaf in jax.tree.leaves(tree, is_leaf=is_zero)] for tree in tangents)
    needed = [*of_x, *[any(of_layers)] * len(of_layers)]
    along = [
        jnp.zeros(leaf.shape, leaf.dtype) if is_zero(leaf) else leaf
        for leaf, is_needed in zip(jax.tree.leaves(tangents, is_leaf=is_zero), needed, strict=True)
        if is_needed
    ]
    out, *hidden = run_forward(x, layers, for_backward=True)
    args = *along, x, *jax.tree.leaves(layers), *hidden
    (tangent,) = tangent_p.bind(*args, of_x=of_x[0], of_layers=any(of_layers), layers=len(layers))
    return out, tangent


def run_forward(x: Array, layers: list[Layer], for_backward: bool) -> list[Array]:
    """Outputs, and the activations of hidden layers that go through memory.

    Not those of the first if every thread computes it for itself, nor of the last unless they are differentiated.
    """
    rows, sizes = x.shape[0], [layer.kernel.shape[1] for layer in layers]
    stored = sizes[1:-1] if len(sizes) > 2 and x.shape[1] <= FEW_INPUTS else sizes[:-1]
    kept = stored if for_backward else stored[:-1]
    hidden = [struct(-(-size // WIDEST), -(-rows // WIDEST) * WIDEST, WIDEST) for size in kept]
    results = [struct(rows, sizes[-1]), *hidden]
    return call("ddpg_jax_mlp_forward", forward_in_jax, results, x, *jax.tree.leaves(layers))


def run_backward(d_out: Array, x: Array, layers: list[Array], hidden: list[Array], of_x: bool, of_layers: bool) -> Any:
    """Gradients of the inputs, if they are asked for, and of the layers, if they are."""
    results = [struct(*leaf.shape) for leaf in [x] * of_x + layers * of_layers]
    return call("ddpg_jax_mlp_backward", backward_in_jax, results, d_out, x, *layers, *hidden)


def in_jax(x: Array, *leaves: Array) -> Array:
    """The outputs by XLA; leaves: W1, b1, ..., WL, bL."""
    for kernel, bias in zip(leaves[:-2:2], leaves[1:-2:2], strict=True):
        x = jax.nn.relu(x @ kernel + bias)
    return x @ leaves[-2] + leaves[-1]


def forward_in_jax(shapes: Sequence[Any], *arguments: Array) -> list[Array]:
    """What the kernel gives; activations of hidden layers, which only the other kernel reads, as 0."""
    return [in_jax(*arguments), *(jnp.zeros(shape.shape, shape.dtype) for shape in shapes[1:])]


def backward_in_jax(shapes: Sequence[Any], d_out: Array, *arguments: Array) -> list[Array]:
    """What the kernel gives: the gradients that are asked for; activations in its own layout (rank 3) are not read."""
    of_x, *of_layers = jax.vjp(in_jax, *[leaf for leaf in arguments if leaf.ndim < 3])[1](d_out)
    return [of_x] * (len(shapes) % 2) + of_layers * (len(shapes) > 1)


def tangent_in_jax(*arguments: Array, of_x: bool, of_layers: bool, layers: int) -> list[Array]:
    """The derivative of the outputs along tangents of x and of the layers; arguments as of `tangent_p`."""
    count = of_x + 2 * layers * of_layers
    along, primals = list(arguments[:count]), arguments[count : count + 1 + 2 * layers]
    zeros = [jnp.zeros_like(leaf) for leaf in primals]
    tangents = (along[:1] if of_x else zeros[:1]) + (along[of_x:] if of_layers else zeros[1:])
    return [jax.jvp(in_jax, primals, tuple(tangents))[1]]


def transpose(
    cotangents: Sequence[Any], *arguments: Any, of_x: bool, of_layers: bool, layers: int
) -> list[Array | None]:
    """Gradients, from the loss's gradient at the outputs."""
    count = of_x + 2 * layers * of_layers
    x, *others = arguments[count:]
    leaves, hidden = others[: 2 * layers], others[2 * layers :]
    gradients = run_backward(ad.instantiate_zeros(cotangents[0]), x, leaves, hidden, of_x, of_layers)
    return [*gradients, *[None] * len(arguments[count:])]


# The derivative along tangents, linear in its first arguments, those of x and of the layers if they are not 0; then
# come x, the layers, and activations. By XLA, but transposed by a kernel.
tangent_p = make_primitive("ddpg_jax_mlp_tangent", tangent_in_jax)


@tangent_p.def_abstract_eval
def describe_tangent(*arguments: Any, of_x: bool, of_layers: bool, layers: int) -> list[Any]:
    """Its shape and dtype, those of the outputs."""
    x, *leaves = arguments[of_x + 2 * layers * of_layers :]
    return [jax.core.ShapedArray((x.shape[0], leaves[2 * layers - 1].shape[0]), x.dtype)]


mlir.register_lowering(tangent_p, mlir.lower_fun(tangent_in_jax, multiple_results=True))
ad.primitive_transposes[tangent_p] = transpose


def is_zero(leaf: Any) -> bool:
    """Whether a tangent is 0 for whatever the arguments are."""
    return isinstance(leaf, SymbolicZero)


def struct(*shape: int) -> jax.ShapeDtypeStruct:
    """An array of float32."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)

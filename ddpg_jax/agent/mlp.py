"""The multilayer perceptron that actor and critic share, as a flax module, and how it starts."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.types import Array, Key, Tree

FINAL_SCALE = 3e-3
CHANNELS = (16, 32, 32)
MOMENTUM = 0.99
DRAWN = ("kernel", "bias")


def draw_uniform(key: Key, bounds: Tree) -> Tree:
    """Weights and biases from U(-b, b), where b is what stands in their place; what norms begin with stays.

    One draw for all of them: XLA compiles each draw anew, which took longest of all in a first start.
    """
    leaves, structure = jax.tree.flatten_with_path(bounds)
    drawn = [path[-1].key in DRAWN for path, _ in leaves]
    sizes = [leaf.size * draw for (_, leaf), draw in zip(leaves, drawn, strict=True)]
    uniform = jax.random.uniform(key, (sum(sizes),), jnp.zeros(()).dtype, -1, 1)
    parts = jnp.split(uniform, np.cumsum(sizes)[:-1])
    initial = [
        part.reshape(bound.shape) * bound if draw else bound
        for part, (_, bound), draw in zip(parts, leaves, drawn, strict=True)
    ]
    return jax.tree.unflatten(structure, initial)


def dense(features: int, bound: float) -> nn.Dense:
    """Affine layer, to be drawn within the bound, in the dtype of 64-bit mode or not."""
    init = nn.initializers.constant(bound)
    return nn.Dense(features, kernel_init=init, bias_init=init, param_dtype=jnp.zeros(()).dtype)


class MLP(nn.Module):
    """Hidden layers f(norm(W x + b)), then one affine layer.

    Weights and biases start at U(-1/sqrt(fan_in), 1/sqrt(fan_in)), those of the last layer at
    U(-3e-3, 3e-3), so that first outputs are near zero (Lillicrap et al., 2015, section 7). Its own `init`
    gives these bounds, within which `draw_uniform` draws.
    """

    output_size: int
    hidden_sizes: tuple[int, ...]
    activation: str
    normalization: str

    @nn.compact
    def __call__(self, x: Any, images: tuple[Array, ...] = (), train: bool = False) -> Array:
        """Map `[..., inputs]` to `[..., output_size]`.

        Args:
            x: vectors; None where there are only images.
            images: `[..., height, width, channels]` each.
            train: whether BatchNorm uses the batch's own statistics and moves the running ones.
        """
        features = [Torso(self.activation)(image) for image in images]
        if features:
            x = jnp.concatenate([part for part in (*features, x) if part is not None], axis=-1)
        for size in self.hidden_sizes:
            x = dense(size, x.shape[-1] ** -0.5)(x)
            x = self.normalize(x, train)
            x = getattr(nn, self.activation)(x)
        return dense(self.output_size, FINAL_SCALE)(x)

    def normalize(self, x: Array, train: bool) -> Array:
        """The normalization of one hidden layer (Ba et al., 2016; Ioffe and Szegedy, 2015, algorithm 1)."""
        if self.normalization == "layer":
            return nn.LayerNorm(param_dtype=x.dtype)(x)
        if self.normalization == "batch":
            return nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, param_dtype=x.dtype)(x)
        return x


class Torso(nn.Module):
    """Three convolutions of 3 x 3 with stride 2, flattened: what sees an image."""

    activation: str

    @nn.compact
    def __call__(self, image: Array) -> Array:
        """Map `[..., height, width, channels]` to `[..., features]`."""
        for channels in CHANNELS:
            init, dtype = nn.initializers.constant((9 * image.shape[-1]) ** -0.5), jnp.zeros(()).dtype
            layer = nn.Conv(channels, (3, 3), strides=2, kernel_init=init, bias_init=init, param_dtype=dtype)
            image = getattr(nn, self.activation)(layer(image))
        return image.reshape(*image.shape[:-3], -1)

"""The multilayer perceptron that actor and critic share, as a flax module."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ddpg_jax.types import Array

FINAL_SCALE = 3e-3


def symmetric_uniform(bound: float) -> Any:
    """Initialiser of U(-bound, bound)."""

    def init(key: Array, shape: tuple[int, ...], dtype: Any = float) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def dense(features: int, bound: float) -> nn.Dense:
    """Affine layer with weights and biases from U(-bound, bound), in the dtype of 64-bit mode or not."""
    init = symmetric_uniform(bound)
    return nn.Dense(features, kernel_init=init, bias_init=init, param_dtype=jnp.zeros(()).dtype)


class MLP(nn.Module):
    """Hidden layers f(norm(W x + b)), then one affine layer.

    Weights and biases start at U(-1/sqrt(fan_in), 1/sqrt(fan_in)), those of the last layer at
    U(-3e-3, 3e-3), so that first outputs are near zero (Lillicrap et al., 2015, section 7).
    """

    output_size: int
    hidden_sizes: tuple[int, ...]
    activation: str
    normalization: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[..., inputs]` to `[..., output_size]`."""
        for size in self.hidden_sizes:
            x = dense(size, x.shape[-1] ** -0.5)(x)
            if self.normalization == "layer":
                x = nn.LayerNorm(param_dtype=x.dtype)(x)
            x = getattr(nn, self.activation)(x)
        return dense(self.output_size, FINAL_SCALE)(x)

"""Actions in [-1, 1] and in the environment's unit; one out of bounds is clipped to its bound."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.types import Array, EnvSpec


def scale_action(action: Array, spec: EnvSpec) -> Array:
    """Map an action from [-1, 1] to the environment's own bounds, each dimension by itself.

    a_env = bias + scale a, with scale = (high - low)/2 and bias = (high + low)/2, within the bounds; -1 and 1,
    and what is beyond them, are the bounds themselves. Works on NumPy and on JAX arrays.

    Args:
        action: in [-1, 1], `[..., A]`.
        spec: holds the bounds.

    Returns:
        The action in the environment's unit, `[..., A]`.
    """
    low, high, where = spec.action_low, spec.action_high, where_of(action)
    between = (spec.action_bias + spec.action_scale * action).clip(low, high)
    # The sum of bias and scale is rounded, and may stop short of a bound.
    return where(action >= 1, high, where(action <= -1, low, between))


def unscale_action(action: Any, spec: EnvSpec) -> Any:
    """Map an action from the environment's unit to [-1, 1], the inverse of `scale_action` within the bounds.

    a = (a_env - bias) / scale, and -1 and 1 at the bounds.  Works on NumPy and on JAX arrays.

    Args:
        action: in the environment's unit, `[..., A]`.
        spec: holds the bounds.

    Returns:
        The action, `[..., A]`; beyond -1 or 1 where it is out of bounds.
    """
    low, high, where = spec.action_low, spec.action_high, where_of(action)
    between = (action - spec.action_bias) / spec.action_scale
    return where(action == high, 1.0, where(action == low, -1.0, between))


def where_of(array: Any) -> Callable[..., Any]:
    """`where(condition, these, others)` of the library whose array it is."""
    return jnp.where if isinstance(array, jax.Array) else np.where

"""What a person can do about a space of Gymnasium's that DDPG cannot use: each is tried by a test."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Tuple

from ddpg_jax.types import ACHIEVED, DESIRED

WRAPPERS = "gymnasium.wrappers"


def finite_bounds(space: Box) -> str:
    """Of actions without bounds."""
    return (
        f"choose finite low < high: {WRAPPERS}.TransformAction(env, lambda action: action, "
        f"gymnasium.spaces.Box(low, high, {space.shape}))"
    )


def leave_out(space: Box, index: int) -> str:
    """Of an action dimension that has one value only."""
    back = f"np.insert(action, {index}, {space.low.ravel()[index].item()!r})"
    if len(space.shape) != 1:
        back += f".reshape({space.shape})"
    return f"leave it out: {WRAPPERS}.TransformAction(env, lambda action: {back}, Box of the other dimensions)"


def bounds_remedy(space: Box, index: int) -> str:
    """Of action bounds that cannot be mapped to [-1, 1], at a dimension."""
    low, high = space.low.ravel()[index], space.high.ravel()[index]
    if low == high:
        return leave_out(space, index)
    if -np.inf < low < high < np.inf:  # as the environment has them, if not as JAX keeps them
        return f"use {WRAPPERS}.RescaleAction(env, -1, 1), or set JAX_ENABLE_X64=1"
    return finite_bounds(space)


def action_remedy(space: gymnasium.Space) -> str:
    """Of actions that are no Box of real numbers."""
    if isinstance(space, Dict | Tuple) and is_continuous(space):
        return (
            f"join its continuous actions: {WRAPPERS}.TransformAction(env, lambda action: gymnasium.spaces.unflatten("
            "env.action_space, action), gymnasium.spaces.flatten_space(env.action_space))"
        )
    return (
        "choose an environment with continuous actions, or map some to its own: "
        f"{WRAPPERS}.TransformAction(env, function, gymnasium.spaces.Box(-1, 1, shape))"
    )


def is_continuous(space: Any) -> bool:
    """Whether a space is a Box of real numbers, or holds nothing else."""
    if isinstance(space, Dict | Tuple):
        parts = space.spaces.values() if isinstance(space, Dict) else space.spaces
        return bool(parts) and all(is_continuous(part) for part in parts)
    return isinstance(space, Box) and space.dtype in (np.float16, np.float32, np.float64)


def obs_remedy(space: Any, whole: Any) -> str:
    """Of an observation, or a part of one, that is no Box.

    Args:
        space: its space.
        whole: the space of the whole observation.
    """
    transform = f"{WRAPPERS}.TransformObservation"
    if not getattr(space, "is_np_flattenable", False):
        return f"write what it holds into a Box of a fixed shape in {transform}"
    goals = isinstance(whole, Dict) and any(goal in whole.spaces for goal in (ACHIEVED, DESIRED))
    if whole.is_np_flattenable and not goals:
        return f"wrap the environment in {WRAPPERS}.FlattenObservation"
    return f"make a Box of this part, by gymnasium.spaces.flatten and flatten_space, in {transform}"


def dtype_remedy(path: tuple[str, ...]) -> str:
    """Of an observation, or a part of one, whose numbers JAX does not have."""
    if not path:
        return f"convert them to np.float32 in {WRAPPERS}.DtypeObservation"
    return f"convert this part to np.float32 in {WRAPPERS}.TransformObservation (DtypeObservation takes no Dict)"


def empty_remedy(path: tuple[str, ...]) -> str:
    """Of an observation, or a part of one, that holds nothing."""
    if not path:
        return "show at least one number"
    return f"leave it out in {WRAPPERS}.{'FilterObservation' if len(path) == 1 else 'TransformObservation'}"

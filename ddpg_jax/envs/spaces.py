"""What DDPG can use of Gymnasium's spaces, and what to do about the rest."""

from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np

from ddpg_jax.envs.protocol import EnvError, bounds_problem
from ddpg_jax.types import EnvSpec

CONTINUOUS = (
    "DDPG needs a Box of real numbers: choose an environment with continuous actions, or map them in "
    "gymnasium.wrappers.TransformAction"
)


def read_spec(env: gymnasium.Env) -> EnvSpec:
    """The spaces of a Gymnasium environment, checked.

    Raises:
        EnvError: naming the space and what to do.
    """
    name = env.spec.id if env.spec else type(env.unwrapped).__name__
    action_space, obs_space = env.action_space, env.observation_space
    problem = action_problem(action_space) or obs_problem(obs_space)
    if problem:
        raise EnvError(f"{name} {problem}")
    low, high = (bound.astype(float).ravel() for bound in (action_space.low, action_space.high))  # type: ignore[attr-defined]
    obs: Any = obs_space
    return EnvSpec(jax.ShapeDtypeStruct(obs.shape, jax.dtypes.canonicalize_dtype(obs.dtype)), low, high)


def action_problem(space: gymnasium.Space) -> str | None:
    """Why actions of a space cannot be chosen by DDPG, or None."""
    shown = one_line(space)
    if not isinstance(space, gymnasium.spaces.Box) or not is_known(space.dtype, np.floating):
        return f"has the action space {shown}; {CONTINUOUS}"
    if 0 in space.shape:
        return f"has the action space {shown}, which holds no number; every dimension must be >= 1"
    if not space.shape == space.low.shape == space.high.shape:
        return (
            f"has an action space of shape {space.shape} with bounds of shapes {space.low.shape} and "
            f"{space.high.shape}; give all three the same shape"
        )
    problem = bounds_problem(space.low.astype(float), space.high.astype(float))
    return f"cannot be used: {problem}" if problem else None


def obs_problem(space: gymnasium.Space) -> str | None:
    """Why observations of a space cannot be learned from, or None."""
    shown = one_line(space)
    if not isinstance(space, gymnasium.spaces.Box):
        return (
            f"has the observation space {shown}; DDPG needs a Box: wrap the environment in "
            "gymnasium.wrappers.FlattenObservation"
        )
    if not any(is_known(space.dtype, kind) for kind in (np.floating, np.integer, np.bool_)):
        return (
            f"has observations of dtype {space.dtype}; DDPG needs real numbers of at most 64 bits: convert them in "
            "gymnasium.wrappers.DtypeObservation"
        )
    if 0 in space.shape:
        return f"has the observation space {shown}, which holds no number; every dimension must be >= 1"
    kept: Any = jax.dtypes.canonicalize_dtype(space.dtype)
    if np.issubdtype(kept, np.integer):
        limits = np.iinfo(kept)
        if int(space.low.min()) < limits.min or int(space.high.max()) > limits.max:
            return (
                f"has {space.dtype} observations within [{space.low.min()}, {space.high.max()}], and JAX keeps "
                f"{kept}: narrow the bounds, use gymnasium.wrappers.DtypeObservation, or set JAX_ENABLE_X64=1"
            )
    return None


def is_known(dtype: Any, kind: type) -> bool:
    """Whether a dtype is of a kind of number, and one that JAX has."""
    return dtype is not None and np.issubdtype(dtype, kind) and np.dtype(dtype).itemsize <= 8


def one_line(space: gymnasium.Space) -> str:
    """A space in words, on one line."""
    return " ".join(str(space).split())


def make_cast(space: Any) -> Callable[[Any], np.ndarray]:
    """Build `cast(action [N, ...])`, a copy in the environment's own dtype, with bounds exactly on its bounds.

    Args:
        space: of the environment; the learner's actions may be of a shorter dtype.
    """
    dtype = space.dtype
    low, high = (bound.astype(jax.dtypes.canonicalize_dtype(dtype)) for bound in (space.low, space.high))

    def cast(action: Any) -> np.ndarray:
        return np.array(action, dtype)

    def cast_onto_bounds(action: Any) -> np.ndarray:
        upper = np.where(action >= high, space.high, cast(action))
        return np.where(action <= low, space.low, upper)

    # A bound such as 0.1 in float64 has no equal in float32.
    return cast if (low == space.low).all() and (high == space.high).all() else cast_onto_bounds

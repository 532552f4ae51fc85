"""What DDPG can use of Gymnasium's spaces, and what to do about the rest."""

import functools
import re
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np

from ddpg_jax.envs.gymnasium.remedies import action_remedy, bounds_remedy, dtype_remedy, empty_remedy, obs_remedy
from ddpg_jax.envs.protocol import EnvError, bounds_problem, obs_name
from ddpg_jax.types import EnvSpec, Tree

# Keys become names of arrays in a checkpoint, with dots between them.
KEY = re.compile(r"[\w \-]+")
KEYS = "keys must be words of letters, digits, _, - and spaces: rename it in gymnasium.wrappers.TransformObservation"


def read_spec(env: gymnasium.Env) -> EnvSpec:
    """The spaces of a Gymnasium environment, checked.

    Raises:
        EnvError: naming the space and what to do.
    """
    action_space, obs_space = read_space(env, "action_space"), read_space(env, "observation_space")
    return spec_of_spaces(env_name(env), obs_space, action_space)


def spec_of_spaces(name: str, obs_space: gymnasium.Space, action_space: Any) -> EnvSpec:
    """Two spaces of Gymnasium's, checked.

    Args:
        name: of the environment that they are of, for messages.
        obs_space: of its observations.
        action_space: of its actions.

    Raises:
        EnvError: naming the space and what to do.
    """
    problem = action_problem(action_space) or obs_problem(obs_space, obs_space)
    if problem:
        raise EnvError(f"{name} {problem}")
    low, high = (bound.astype(float).ravel() for bound in (action_space.low, action_space.high))
    return EnvSpec(obs_struct(obs_space), low, high)


def env_name(env: gymnasium.Env) -> str:
    """An environment's id, or the name of its class."""
    return env.spec.id if env.spec else type(env.unwrapped).__name__


def read_space(env: gymnasium.Env, name: str) -> Any:
    """One of the two spaces of an environment.

    Raises:
        EnvError: if it has none, or one that is not Gymnasium's.
    """
    space = getattr(env, name, None)
    if isinstance(space, gymnasium.Space):
        return space
    kind = f"{type(space).__module__}.{type(space).__name__}"
    if space is None:
        problem = f"no {name}; set self.{name} to a gymnasium.spaces.Box in its constructor"
    elif kind.startswith("gym."):
        problem = (
            f"the {name} {kind}, of the old package gym; make it of gymnasium.spaces, or wrap the environment in "
            "shimmy.GymV26CompatibilityV0(env=...) (pip install shimmy gym)"
        )
    else:
        problem = f"the {name} {kind}, which is no gymnasium.Space; make it a gymnasium.spaces.Box"
    raise EnvError(f"{env_name(env)} has {problem}")


def obs_struct(space: Any) -> Tree:
    """Shapes and dtypes of the observations of a Box, or of a Dict of them, as JAX keeps them."""
    if isinstance(space, gymnasium.spaces.Dict):
        return {key: obs_struct(part) for key, part in space.spaces.items()}
    return jax.ShapeDtypeStruct(space.shape, jax.dtypes.canonicalize_dtype(space.dtype))


def action_problem(space: gymnasium.Space) -> str | None:
    """Why actions of a space cannot be chosen by DDPG, or None."""
    shown = one_line(space)
    if not isinstance(space, gymnasium.spaces.Box) or not is_known(space.dtype, np.floating):
        return f"has the action space {shown}; DDPG needs a Box of real numbers: {action_remedy(space)}"
    if 0 in space.shape:
        return f"has the action space {shown}, which holds no number; every dimension must be >= 1"
    if not space.shape == space.low.shape == space.high.shape:
        return (
            f"has an action space of shape {space.shape} with bounds of shapes {space.low.shape} and "
            f"{space.high.shape}; give all three the same shape"
        )
    remedy = functools.partial(bounds_remedy, space)
    problem = bounds_problem(space.low.astype(float), space.high.astype(float), remedy)
    return f"cannot be used: {problem}" if problem else None


def obs_problem(space: gymnasium.Space, whole: gymnasium.Space, path: tuple[str, ...] = ()) -> str | None:
    """Why observations of a space cannot be learned from, or None.

    Args:
        space: a Box, or a Dict of them, at any depth.
        whole: the environment's observation space.
        path: the keys that lead from it to `space`.
    """
    if not isinstance(space, gymnasium.spaces.Dict):
        return box_problem(space, whole, path)
    if not space.spaces:
        return f"has an {obs_name(path)} that is an empty Dict; it must hold a Box: {empty_remedy(path)}"
    unfit = [key for key in space.spaces if not (isinstance(key, str) and KEY.fullmatch(key))]
    if unfit:
        return f"has the key {unfit[0]!r} in its {obs_name(path)}; {KEYS}"
    found = (obs_problem(part, whole, (*path, key)) for key, part in space.spaces.items())
    return next(filter(None, found), None)


def box_problem(space: Any, whole: Any, path: tuple[str, ...]) -> str | None:
    """Why the observations of a space that is no Dict cannot be learned from, or None."""
    shown = one_line(space)
    if not isinstance(space, gymnasium.spaces.Box):
        return (
            f"has the {obs_name(path)} space {shown}; DDPG needs a Box, or a Dict of them: {obs_remedy(space, whole)}"
        )
    if not any(is_known(space.dtype, kind) for kind in (np.floating, np.integer, np.bool_)):
        return (
            f"has an {obs_name(path)} of dtype {space.dtype}; DDPG needs real numbers of at most 64 bits: "
            f"{dtype_remedy(path)}"
        )
    if 0 in space.shape:
        return (
            f"has the {obs_name(path)} space {shown}, which holds no number; every dimension must be >= 1: "
            f"{empty_remedy(path)}"
        )
    kept: Any = jax.dtypes.canonicalize_dtype(space.dtype)
    if np.issubdtype(kept, np.integer):
        limits = np.iinfo(kept)
        if int(space.low.min()) < limits.min or int(space.high.max()) > limits.max:
            return (
                f"has an {obs_name(path)} of dtype {space.dtype} within [{space.low.min()}, {space.high.max()}], and "
                f"JAX keeps {kept}: {dtype_remedy(path)}, or set JAX_ENABLE_X64=1"
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
        action = np.asarray(action)
        upper = np.where(action >= high, space.high, cast(action))
        return np.where(action <= low, space.low, upper)

    # A bound such as 0.1 in float64 has no equal in float32.
    return cast if (low == space.low).all() and (high == space.high).all() else cast_onto_bounds

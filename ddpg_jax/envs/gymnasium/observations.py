"""Observations as an environment gives them: held against its space, and written where the loop reads them."""

import contextlib
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ddpg_jax.envs.protocol import obs_name, obs_path_name
from ddpg_jax.types import Tree

NUMBERS = frozenset("biuf")  # kinds of dtypes
NO_CONTEXT = contextlib.nullcontext()
Leaf = Callable[[Any], Any]


def make_leaf_reader(path: tuple[str, ...], struct: jax.ShapeDtypeStruct) -> Leaf:
    """Build `leaf(value) -> array-like`, what an environment gave for one leaf, if that can be kept as it is.

    Args:
        path: the keys that lead to it.
        struct: its shape, and the dtype that JAX keeps.

    Returns:
        The function. It raises ValueError for what is no array of real numbers of that shape, and for values that an
        integer or bool dtype does not hold; floating ones are rounded when they are written.
    """
    floating, plain, shape = np.issubdtype(struct.dtype, np.floating), plain_dtypes(struct.dtype), struct.shape

    def leaf(value: Any) -> Any:
        if type(value) is np.ndarray and value.dtype in plain and value.shape == shape:
            return value
        array = np.asarray(value)
        if array.dtype.kind not in NUMBERS:
            raise ValueError(f"the {obs_name(path)} has dtype {array.dtype}; it must be an array of real numbers")
        if array.shape != shape:
            raise ValueError(f"the {obs_name(path)} has shape {array.shape}, its space says {shape}")
        return array if floating else cast_exactly(array, struct.dtype, path)

    return leaf


def plain_dtypes(dtype: Any) -> frozenset[np.dtype]:
    """Dtypes of arrays that need no look at their values before they are written in a dtype."""
    return frozenset(map(np.dtype, ("f2", "f4", "f8") if np.issubdtype(dtype, np.floating) else [dtype]))


def cast_exactly(array: np.ndarray, dtype: Any, path: tuple[str, ...]) -> np.ndarray:
    """The same numbers in an integer or bool dtype.

    Raises:
        ValueError: naming the first that it does not hold.
    """
    with np.errstate(invalid="ignore") if array.dtype.kind == "f" else NO_CONTEXT:  # nan has no integer
        kept = array.astype(dtype)
    changed = kept != array
    if np.count_nonzero(changed):  # faster than `any`, where there is little to count
        lossy = array[changed]
        wider = " or, for numbers of 64 bits, set JAX_ENABLE_X64=1" if np.dtype(dtype).itemsize == 4 else ""
        wrapper = "TransformObservation" if path else "DtypeObservation"
        raise ValueError(
            f"the {obs_name(path)} holds {lossy.flat[0]}, and {dtype} does not: give its space another dtype in "
            f"gymnasium.wrappers.{wrapper}{wider}"
        )
    return kept


def make_read(obs: Tree) -> Callable[[Any], Sequence[Any]]:
    """Build `read(observation)`, its arrays in the order of its specification's leaves, each held against it.

    Args:
        obs: of an `EnvSpec`.
    """
    found = [(tuple(part.key for part in path), struct) for path, struct in jax.tree.leaves_with_path(obs)]
    leaves = [(path, make_leaf_reader(path, struct)) for path, struct in found]

    def whole(observation: Any) -> Sequence[Any]:
        return (leaves[0][1](observation),)

    def parts(observation: Any) -> Sequence[Any]:
        return [leaf(functools.reduce(operator.getitem, path, observation)) for path, leaf in leaves]

    return parts if isinstance(obs, dict) else whole


def make_write(obs: Tree) -> Callable[[Sequence[np.ndarray], Any, Any], None]:
    """Build `write(arrays, where, observation)`, which writes each leaf to a place in its own of the first arrays.

    Args:
        obs: of an `EnvSpec`.
    """
    read = make_read(obs)

    def write_parts(arrays: Sequence[np.ndarray], where: Any, observation: Any) -> None:
        for leaf, array in zip(read(observation), arrays, strict=False):
            array[where] = leaf

    if isinstance(obs, dict):
        return write_parts
    only, plain, shape = make_leaf_reader((), obs), plain_dtypes(obs.dtype), obs.shape

    # The host writes at every step, and most observations have no parts: a loop over one is a microsecond, and the call
    # of `only` as much as the three comparisons that it begins with.
    def write_whole(arrays: Sequence[np.ndarray], where: Any, observation: Any) -> None:
        if type(observation) is not np.ndarray or observation.dtype not in plain or observation.shape != shape:
            observation = only(observation)
        arrays[0][where] = observation

    return write_whole


def check_finite(leaves: Sequence[Any], obs: Tree) -> None:
    """Raise ValueError, naming the part, if an observation is not finite in the dtype that is kept of it.

    Args:
        leaves: as `read` gives them.
        obs: of an `EnvSpec`.
    """
    for leaf, (path, struct) in zip(leaves, jax.tree.leaves_with_path(obs), strict=True):
        with np.errstate(over="ignore"):
            kept = np.asarray(leaf).astype(struct.dtype)
        if not np.isfinite(kept).all():
            raise ValueError(f"the {obs_path_name(path)} is not finite in {struct.dtype}")


def make_conform(space: Any, obs: Tree) -> Callable[[Any], Any]:
    """Build `conform(observation)`, the observation in the dtypes of its space, held against what JAX keeps of them.

    Args:
        space: a Box, or a Dict of them.
        obs: of the `EnvSpec` of that space.
    """
    read, (paths, structure) = make_read(obs), jax.tree_util.tree_flatten_with_path(obs)
    dtypes = [functools.reduce(operator.getitem, [part.key for part in path], space).dtype for path, _ in paths]

    def conform(observation: Any) -> Any:
        leaves = [np.asarray(leaf, dtype) for leaf, dtype in zip(read(observation), dtypes, strict=True)]
        return jax.tree.unflatten(structure, leaves)

    return conform

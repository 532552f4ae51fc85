"""Transitions that somebody else made, for a memory that begins with them."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ddpg_jax.action_bounds import unscale_action
from ddpg_jax.config import ConfigError, ReplayConfig, shown
from ddpg_jax.replay.compact import num_finals
from ddpg_jax.types import EnvSpec, Transition, named_leaves, transition_struct

# By so much, in units of half its range, an action may lie beyond a bound, as rounding leaves it.
ROUNDING = 1e-4


def make_demonstrations(arrays: Mapping[str, Any], spec: EnvSpec) -> Transition:
    """Transitions `[T, ...]` from arrays by name, marked as truncated wherever the next one does not follow.

    Such a step's value goes on, and no window of n steps crosses it; the last of all is one, if the task did not
    end there.

    Args:
        arrays: `obs`, `action`, `reward`, `terminated`, `truncated`, `next_obs`, each `[T, ...]`, in the order in which
            the steps were made; of observations that are a Dict, each part by itself, `obs.KEY` and `next_obs.KEY`.
            Actions are in the environment's unit.
        spec: the environment's spaces.

    Raises:
        ConfigError: naming each array that is missing, unknown, of another shape or kind of number, or not finite,
            or the first action out of bounds.
    """
    struct = transition_struct(spec)
    expected = named_leaves(struct)
    check_names(arrays, expected)
    given = {name: as_array(name, arrays[name]) for name in expected}
    action = given["action"]
    given["action"] = action.reshape(*action.shape[:1], math.prod(action.shape[1:]))
    num_steps = given["reward"].size
    found = [array_problem(name, array, expected[name], num_steps) for name, array in given.items()]
    if any(found):
        raise ConfigError("\n".join(problem for problem in found if problem))
    given["action"] = unscaled_actions(given["action"], spec)
    leaves = [given[name].astype(leaf.dtype) for name, leaf in expected.items()]
    steps: Transition = jax.tree.unflatten(jax.tree.structure(struct), leaves)
    return steps._replace(truncated=steps.truncated | ~(steps.terminated | is_followed(steps)))


def check_names(arrays: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise ConfigError if there are other arrays than these."""
    missing = [name for name in expected if name not in arrays]
    unknown = [shown(name) for name in arrays if name not in expected]
    if missing or unknown:
        problem = f"lack {', '.join(missing)}" if missing else f"have the unknown array {unknown[0]}"
        raise ConfigError(f"demonstrations {problem}; they must be {', '.join(expected)}")


def as_array(name: str, values: Any) -> np.ndarray:
    """Values as NumPy's array; lists of lists of unlike lengths are none."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ConfigError(f"demonstrations: {name} is no array; give all steps the same shape") from error


def array_problem(name: str, array: np.ndarray, like: Any, num_steps: int) -> str | None:
    """Why an array cannot be used, in one line, or None.

    Args:
        name: of the array.
        array: as it was given.
        like: shape and dtype of one step.
        num_steps: number T of the rewards.
    """
    if array.shape != (num_steps, *like.shape):
        return f"demonstrations: {name} has shape {array.shape}, and must have {('T', *like.shape)}, T as of reward"
    if not np.can_cast(array.dtype, like.dtype, "same_kind"):
        return f"demonstrations: {name} holds {array.dtype}, and must hold {like.dtype}"
    with np.errstate(over="ignore"):
        cast = array.astype(like.dtype)
    unusable = ~np.isfinite(cast) if np.issubdtype(like.dtype, np.floating) else cast != array
    if unusable.any():
        step = np.argwhere(unusable)[0][0]
        return f"demonstrations: {name} of step {step} is no finite {like.dtype}; leave that step out"
    return None


def unscaled_actions(action: np.ndarray, spec: EnvSpec) -> np.ndarray:
    """Actions `[T, A]` of the environment's unit as ours, in [-1, 1].

    Raises:
        ConfigError: with the first that is out of bounds.
    """
    unscaled = unscale_action(action.astype(float), spec)
    out_of_bounds = ~(np.abs(unscaled) <= 1 + ROUNDING).all(axis=-1)
    if out_of_bounds.any():
        first = out_of_bounds.argmax()
        raise ConfigError(
            f"demonstrations: action of step {first}, {action[first].tolist()}, is out of the bounds "
            f"{spec.action_low.tolist()} to {spec.action_high.tolist()}; give actions in the environment's unit"
        )
    return unscaled.clip(-1, 1)


def is_followed(steps: Transition) -> np.ndarray:
    """Whether a step's successor is the observation of the next step, `[T]` bool."""
    pairs = zip(jax.tree.leaves(steps.next_obs), jax.tree.leaves(steps.obs), strict=True)
    equal = [(next_obs[:-1] == obs[1:]).all(axis=tuple(range(1, obs.ndim))) for next_obs, obs in pairs]
    followed = np.zeros(steps.reward.shape, bool)
    followed[:-1] = np.logical_and.reduce(equal)
    return followed


def check_amount(steps: Transition, num_envs: int, config: ReplayConfig) -> None:
    """Raise ConfigError if a memory would lose some of the steps, or if there are fewer than environments."""
    num_steps, length = len(steps.reward), config.capacity // num_envs
    if not 1 <= num_steps // num_envs <= length:
        raise ConfigError(
            f"demonstrations hold {num_steps} transitions, and must hold at least train.num_envs = {num_envs} and at "
            f"most replay.capacity = {config.capacity}; raise the one or lower the other"
        )
    terminal = config.hindsight != "none"
    missing = missing_successors(in_columns(steps, num_envs), num_finals(length), terminal) if config.compact else 0
    if missing:
        raise ConfigError(
            f"demonstrations are cut at {missing} steps whose successors replay.compact could not keep; leave it out, "
            "raise replay.capacity, or give the steps in the order in which they were made"
        )


def missing_successors(columns: Transition, stored: int, keep_terminal: bool = False) -> int:
    """How many truncated steps have so many ends of episodes behind them that compact storage loses their successor.

    Args:
        columns: `[T // N, N]`, as `in_columns` lays them out.
        stored: episodes whose last observation it keeps.
        keep_terminal: whether it also keeps those at which the task ended.
    """
    cut = columns.truncated & ~columns.terminated
    closed = cut | columns.terminated if keep_terminal else cut
    later = closed[::-1].cumsum(axis=0)[::-1] - closed
    return int((cut & (later >= stored)).sum())


def in_columns(steps: Transition, num_envs: int) -> Transition:
    """Steps `[T, ...]` laid out as if N environments had made them, `[T // N, N, ...]`, the last of each truncated.

    Up to N - 1 of the last steps are left out, so that all columns are equally long.
    """
    length = len(steps.reward) // num_envs

    def columns(leaf: np.ndarray) -> np.ndarray:
        return leaf[: num_envs * length].reshape(num_envs, length, *leaf.shape[1:]).swapaxes(0, 1)

    columns_of_steps: Transition = jax.tree.map(columns, steps)
    truncated = columns_of_steps.truncated.copy()
    truncated[-1] |= ~columns_of_steps.terminated[-1]
    return columns_of_steps._replace(truncated=truncated)

"""What the loop asks of a world: N environments stepped together, as functions that can be traced."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ddpg_jax.types import Array, EnvSpec, Key, Tree


class Timestep(NamedTuple):
    """What one step of N environments brought.

    Attributes:
        reward: `[N]`.
        terminated: the task ended, `[N]` bool.
        truncated: the episode was cut, `[N]` bool.
        next_obs: the true successor, also where the episode ended, `[N, O]`.
        alive: False if the environments failed and nothing here may be used, bool scalar.
    """

    reward: Array
    terminated: Array
    truncated: Array
    next_obs: Tree
    alive: Array


class Env(NamedTuple):
    """N environments that start a new episode by themselves where one ended.

    Attributes:
        spec: spaces of one of them.
        num_envs: N.
        reset: `reset(key) -> (state, obs [N, O])`.
        step: `step(key, state, action [N, A] in [-1, 1]) -> (state, obs [N, O], Timestep)`; `obs` is what
            the next action is chosen on: `next_obs`, or the first observation of the next episode.
        failure: `failure() -> Exception | None`, what made `alive` False, on the host.
        close: frees what the host holds.
    """

    spec: EnvSpec
    num_envs: int
    reset: Callable[[Key], tuple[Tree, Tree]]
    step: Callable[[Key, Tree, Array], tuple[Tree, Tree, Timestep]]
    failure: Callable[[], Exception | None] = lambda: None
    close: Callable[[], None] = lambda: None


class EnvError(Exception):
    """An environment that cannot be used, or that failed while it ran."""


def bounds_problem(low: np.ndarray, high: np.ndarray) -> str | None:
    """Why action bounds cannot be mapped to [-1, 1], or None."""
    for index, (lower, upper) in enumerate(zip(low.ravel(), high.ravel(), strict=True)):
        if not -float("inf") < lower < upper < float("inf"):
            return (
                f"action dimension {index} has bounds [{lower:g}, {upper:g}], which must be finite with low < high; "
                "wrap the environment in gymnasium.wrappers.RescaleAction or give its action space finite bounds"
            )
    return None

"""What the loop asks of a world: N environments stepped together, as functions that can be traced."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.types import Array, EnvSpec, Key, Tree, float_dtype


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


class Restored(NamedTuple):
    """Environments brought back to where they stood.

    Attributes:
        state: as `Env.reset` gives it.
        obs: what the next action is chosen on, `[N, O]`, or a dict of such leaves.
        exact: whether the environment goes on as if nothing had happened; where not, a new episode
            has begun, `[N]` bool.
        reason: which environments are not exact and why; empty if all are.
    """

    state: Tree
    obs: Tree
    exact: np.ndarray
    reason: str


def hold_nothing(episode_length: np.ndarray) -> bytes:
    """The `Env.save` of environments that live in the traced state alone."""
    return b""


def stay(state: Tree, obs: Tree, episode_length: np.ndarray, saved: bytes, renew: Sequence[int] = ()) -> Restored:
    """The `Env.restore` of environments that live in the traced state alone."""
    return Restored(state, obs, np.ones(len(episode_length), bool), "")


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
        save: `save(episode_length [N]) -> bytes`, what the host holds of the running episodes and the
            traced state does not.
        restore: `restore(state, obs [N, O], episode_length [N], saved, renew=()) -> Restored`, brings what the
            host holds to where it stood at `save`; clears a failure, whose environment is made anew, as are
            those whose index is in `renew`.
        moment: `moment(index) -> str`, where an environment is, in words, for messages.
        goal_problem: why `spec.goal_reward` is None, for the message to who needs it.
        step_beside: `step_beside(key, state, action, work) -> (result, (state, obs, Timestep))`, the same step while
            `result, last = work(wait)` is computed: `wait(tree)` is the same tree, there when the step has begun, and
            `last` a scalar that is there when the work is all but done; None where the program itself steps.
        share: `share(max_steps) -> Env`, the same environments for episodes of its own, truncated after so many steps
            (None: not), after which `restore` brings these back to where they stood; None where the environments are
            the traced state.
    """

    spec: EnvSpec
    num_envs: int
    reset: Callable[[Key], tuple[Tree, Tree]]
    step: Callable[[Key, Tree, Array], tuple[Tree, Tree, Timestep]]
    failure: Callable[[], Exception | None] = lambda: None
    close: Callable[[], None] = lambda: None
    save: Callable[[np.ndarray], bytes] = hold_nothing
    restore: Callable[..., Restored] = stay
    moment: Callable[[int], str] = lambda index: "in the compiled program"
    goal_problem: str = "it gives no goal_reward in its specification"
    step_beside: Callable[..., tuple[Tree, tuple[Tree, Tree, Timestep]]] | None = None
    share: "Callable[[int | None], Env] | None" = None


def choose(which: Array, these: Tree, others: Tree) -> Tree:
    """These where a scalar is true, and the others where not, of the others' dtypes."""
    return jax.tree.map(lambda this, other: jnp.where(which, this, other).astype(other.dtype), these, others)


class EnvError(Exception):
    """An environment that cannot be used, or that failed while it ran."""


def place(path: tuple[str, ...]) -> str:
    """The observation, or a part of it, in words: `observation['camera']['left']`."""
    return "observation" + "".join(f"[{key!r}]" for key in path)


def obs_name(path: tuple[Any, ...]) -> str:
    """The same of a path as `jax.tree` gives it."""
    return place(tuple(part.key for part in path))


def check_env(env: Env) -> None:
    """Find out whether an object is an `Env`, and not what one is made of.

    Raises:
        EnvError: if it is not.
    """
    if not isinstance(env, Env):
        raise EnvError(
            f"a {type(env).__name__} is no ddpg_jax.Env; ddpg_jax.envs.make(id) gives one, and so does "
            "ddpg_jax.envs.gymnasium.from_factory(lambda: ...) of a function that makes Gymnasium's"
        )


def check_num_envs(num_envs: int) -> None:
    """Raise an EnvError if there cannot be so many environments."""
    if not isinstance(num_envs, int | np.integer) or num_envs < 1:
        raise EnvError(f"num_envs = {num_envs!r} must be a whole number >= 1")


def bounds_problem(
    low: np.ndarray, high: np.ndarray, remedy: Callable[[int], str] = lambda index: "give its action space other bounds"
) -> str | None:
    """Why action bounds cannot be mapped to [-1, 1], or None; `remedy(index)` says what to do about a dimension."""
    dtype = float_dtype()
    with np.errstate(over="ignore"):  # too far out is infinite, and said below
        kept = zip(low.ravel().astype(dtype), high.ravel().astype(dtype), strict=True)
    for index, (lower, upper) in enumerate(kept):
        if not -np.inf < lower < upper < np.inf:
            return (
                f"action dimension {index} has bounds [{low.ravel()[index]:g}, {high.ravel()[index]:g}], which must be "
                f"finite with low < high in {dtype}; {remedy(index)}"
            )
    return None

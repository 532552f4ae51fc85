"""What the loop asks of environments: N environments stepped together, as functions that can be traced."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.envs.overlap import Work, in_program_order
from ddpg_jax.types import Array, EnvSpec, Key, Tree, float_dtype


class Timestep(NamedTuple):
    """What one step of N environments brought.

    Attributes:
        reward: in the environment's unit, `[N]`.
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


def save_nothing(episode_length: np.ndarray) -> bytes:
    """The `Env.save` of environments that live in the traced state alone."""
    return b""


def restore_nothing(
    state: Tree, obs: Tree, episode_length: np.ndarray, saved: bytes, renew: Sequence[int] = ()
) -> Restored:
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
        close: `close()`, frees what the host holds.
        save: `save(episode_length [N]) -> bytes`, what the host holds of the running episodes and the
            traced state does not.
        restore: `restore(state, obs [N, O], episode_length [N], saved, renew=()) -> Restored`, brings what the
            host holds to where it stood at `save`; clears a failure, whose environment is made anew, as are
            those whose index is in `renew`.
        describe: `describe(index) -> str`, where an environment is in its episode, in words, for messages.
        goal_problem: why `spec.goal_reward` is None, for the message to who needs it.
        step_beside: `step_beside(key, state, action, work) -> (result, (state, obs, Timestep))`, what `step_while`
            does where another thread steps the environments; None where the program itself does.
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
    save: Callable[[np.ndarray], bytes] = save_nothing
    restore: Callable[..., Restored] = restore_nothing
    describe: Callable[[int], str] = lambda index: "in the compiled program"
    goal_problem: str = "it gives no goal_reward in its specification"
    step_beside: Callable[..., tuple[Tree, tuple[Tree, Tree, Timestep]]] | None = None
    share: "Callable[[int | None], Env] | None" = None

    def step_while(self, key: Key, state: Tree, action: Array, work: Work) -> tuple[Tree, tuple[Tree, Tree, Timestep]]:
        """`step` with work beside it, at the same time where that can be.

        Args:
            key: of the step.
            state: of the environments.
            action: `[N, A]`.
            work: `work(wait) -> (result, token)`, where `wait(tree)` is the same tree, there when the step has begun,
                and `token` a scalar that is there when the work is all but done.

        Returns:
            The work's result, and the step's.
        """
        return (self.step_beside or in_program_order(self.step))(key, state, action, work)

    @property
    def moment(self) -> Callable[[int], str]:
        """The old name of `describe`, which goes with the next version."""
        warnings.warn("Env.moment is now Env.describe", DeprecationWarning, stacklevel=2)
        return self.describe


def select(condition: Array, on_true: Tree, on_false: Tree) -> Tree:
    """One tree where a scalar is true, the other where not, in the dtypes of the second."""
    return jax.tree.map(lambda one, other: jnp.where(condition, one, other).astype(other.dtype), on_true, on_false)


class EnvError(Exception):
    """An environment that cannot be used, or that failed while it ran."""


def obs_name(path: tuple[str, ...]) -> str:
    """The observation, or a part of it, in words: `observation['camera']['left']`."""
    return "observation" + "".join(f"[{key!r}]" for key in path)


def obs_path_name(path: tuple[Any, ...]) -> str:
    """The same of a path as `jax.tree` gives it."""
    return obs_name(tuple(part.key for part in path))


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


def episode_limit(own: int, max_episode_steps: int | None, max_steps: int | None) -> int:
    """Steps after which an episode is truncated: a person's limit or the environment's own, at most `max_steps`."""
    limit = own if max_episode_steps is None else max_episode_steps
    return limit if max_steps is None else min(max_steps, limit)


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

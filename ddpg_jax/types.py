"""The nouns that every part shares: one step of experience, one batch, one environment's spaces.

Shapes are written with B for rows of a batch, N for environments, A for action dimensions, O for
observation dimensions and K for critics of an ensemble.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

Array: TypeAlias = jax.Array
Key: TypeAlias = jax.Array
Tree: TypeAlias = Any

# Keys of a goal environment's observation, beside "observation".
ACHIEVED, DESIRED = "achieved_goal", "desired_goal"


class Transition(NamedTuple):
    """One step of experience.

    Attributes:
        obs: observation the action was chosen on, `[N, O]`.
        action: action in [-1, 1], `[N, A]`.
        reward: reward in the environment's unit, `[N]`.
        terminated: the task itself ended here, so nothing follows, `[N]` bool.
        truncated: the episode was cut (a time limit); its value goes on, `[N]` bool.
        next_obs: the true successor, never the observation after a reset, `[N, O]`.
    """

    obs: Tree
    action: Array
    reward: Array
    terminated: Array
    truncated: Array
    next_obs: Tree


class Batch(NamedTuple):
    """What one update learns from: transitions with n steps folded into one.

    Attributes:
        obs: `[B, O]`.
        action: in [-1, 1], `[B, A]`.
        reward: discounted sum over the m <= n steps really used, in the environment's unit, `[B]`.
        discount: gamma^m, or 0 if the last of these steps terminated, `[B]`.
        next_obs: observation after these m steps, `[B, O]`.
        weight: importance weight of the row in the critic's loss, `[B]`.
    """

    obs: Tree
    action: Array
    reward: Array
    discount: Array
    next_obs: Tree
    weight: Array


class EnvSpec(NamedTuple):
    """The spaces of one environment.

    Attributes:
        obs: shape and dtype of one observation, `jax.ShapeDtypeStruct`, or a (nested) dict of them.
        action_low: lower bound of each action dimension, in the environment's unit, `[A]`.
        action_high: upper bound of each action dimension, in the environment's unit, `[A]`.
        goal_reward: goal environments only: `goal_reward(achieved_goal [..., G], desired_goal [..., G]) ->
            reward [...]`, in JAX; None where nobody knows it.
    """

    obs: Tree
    action_low: np.ndarray
    action_high: np.ndarray
    goal_reward: Callable[[Array, Array], Array] | None = None

    @property
    def action_dim(self) -> int:
        """Number of action dimensions A."""
        return self.action_low.size

    @property
    def action_scale(self) -> np.ndarray:
        """Half the range of each action dimension, (high - low)/2, `[A]`."""
        return (self.action_high - self.action_low) / 2

    @property
    def action_bias(self) -> np.ndarray:
        """The middle of each action dimension, (high + low)/2, `[A]`."""
        return (self.action_high + self.action_low) / 2


def float_dtype() -> jnp.dtype:
    """The dtype of rewards and actions: float32, or float64 where JAX has 64 bits enabled."""
    return jax.dtypes.canonicalize_dtype(float)


def transition_struct(spec: EnvSpec) -> Transition:
    """Shapes and dtypes of a single environment's `Transition`, without the leading N."""
    real: Any = jax.ShapeDtypeStruct((), float_dtype())
    flag: Any = jax.ShapeDtypeStruct((), jnp.bool_)
    action: Any = jax.ShapeDtypeStruct((spec.action_dim,), float_dtype())
    obs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype)), spec.obs
    )
    return Transition(obs, action, real, flag, flag, obs)


def named_leaves(tree: Tree) -> dict[str, Any]:
    """Leaves by name, "agent.params.actor.params.Dense_0.kernel" for one."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}

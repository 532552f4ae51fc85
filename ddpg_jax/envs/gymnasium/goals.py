"""Rewards of other goals: an environment's own `compute_reward`, which is NumPy, as a JAX function.

Hindsight asks what a step would have earned under another goal. The environment knows, and says so in NumPy.
"""

from collections.abc import Callable
from typing import TypeAlias

import gymnasium
import jax
import numpy as np

from ddpg_jax.envs.gymnasium.traced import trace
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.types import ACHIEVED, DESIRED, Array, EnvSpec

GoalReward: TypeAlias = Callable[[Array, Array], Array]

# Goals that a reward is compared on, apart by distances from small to large; and how well it must agree there.
COMPARED, NEAREST, FARTHEST, TOLERANCE = 500, 1e-3, 1e2, 1e-3


def read_goal_reward(
    env: gymnasium.Env, spec: EnvSpec, given: GoalReward | None = None
) -> tuple[GoalReward | None, str]:
    """The reward of an environment's goals as a JAX function.

    Its own `compute_reward(achieved_goal, desired_goal, info)` is traced and then compared with itself on goals
    near to each other and far. It must read nothing but its two goals.

    Args:
        env: the environment, which is neither reset nor stepped.
        spec: its spaces.
        given: a function to take instead; compared in the same way.

    Returns:
        The function, and "", or None and why there is none.

    Raises:
        EnvError: if the function that is given is not the environment's.
    """
    problem, own = goals_problem(spec), own_compute_reward(env)
    if given is not None:
        if own and not problem:
            problem = difference(given, own, spec)
        if problem:
            raise EnvError(f"the goal_reward of {type(env.unwrapped).__name__} cannot be used: {problem}")
        return given, ""
    if problem or own is None:
        return None, problem or "it has no compute_reward; give its reward as goal_reward"
    reward = trace(own)
    problem = difference(reward, own, spec)
    if problem:
        return None, f"its compute_reward cannot be used ({problem}); give its reward, in JAX, as goal_reward"
    return reward, ""


def goals_problem(spec: EnvSpec) -> str:
    """Why there are no goals in an environment's observations, or ""."""
    goals = [spec.obs.get(name) if isinstance(spec.obs, dict) else None for name in (ACHIEVED, DESIRED)]
    shapes = [getattr(goal, "shape", ()) for goal in goals]
    if len(shapes[0]) == 1 and shapes[0] == shapes[1]:
        return ""
    return f"its observations have no {ACHIEVED} and {DESIRED} that are vectors of one length"


def own_compute_reward(env: gymnasium.Env) -> Callable | None:
    """The `compute_reward` of an environment, or of the outermost wrapper that has one; None if there is none."""
    try:
        return env.get_wrapper_attr("compute_reward")
    except AttributeError:
        return None


def difference(reward: GoalReward, compute_reward: Callable, spec: EnvSpec) -> str:
    """Where a JAX reward is not that of an environment, in words; "" if it is, or if that one cannot be asked."""
    achieved, desired = goal_pairs(spec)
    try:
        traced_reward = np.asarray(jax.jit(reward)(achieved, desired), float)
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    try:
        # Copies: it may change them.
        pairs = zip(achieved.copy(), desired.copy(), strict=True)
        own_reward = np.array([compute_reward(*goals, {}) for goals in pairs], float)
    except Exception:  # it reads more than its goals
        return ""
    if traced_reward.shape != own_reward.shape:
        return f"on goals {achieved.shape} it gives {traced_reward.shape}, and must give {own_reward.shape}"
    differs = ~np.isclose(traced_reward, own_reward, TOLERANCE, TOLERANCE, equal_nan=True)
    if not differs.any():
        return ""
    first = int(differs.argmax())
    return (
        f"it gives {traced_reward[first]:g} where the environment gives {own_reward[first]:g}, for the achieved goal "
        f"{achieved[first].tolist()} and the desired goal {desired[first].tolist()}"
    )


def goal_pairs(spec: EnvSpec) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of goals `[500, G]`: the first two equal, and then farther and farther apart.

    So some of them lie close to wherever the reward changes.
    """
    rng, struct = np.random.default_rng(0), spec.obs[ACHIEVED]
    desired, way = rng.standard_normal((2, COMPARED, *struct.shape))
    distance = np.append(0, np.geomspace(NEAREST, FARTHEST, COMPARED - 1))[:, None]
    achieved = desired + distance * way / np.linalg.norm(way, axis=1, keepdims=True)
    return achieved.astype(struct.dtype), desired.astype(spec.obs[DESIRED].dtype)

"""Gymnasium's interface: objects that do not have it are told before they are used, and their answers read.

Environments of before gym 0.26 take no seed in `reset`, which gives the observation alone, and their `step` gives four
values.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from ddpg_jax.envs.gymnasium.layers import below_gymnasium_wrappers

OLD_PACKAGE = (
    "wrap an environment of the old package gym in shimmy.GymV26CompatibilityV0(env=...), or one of gym before 0.26 in "
    "shimmy.GymV21CompatibilityV0(env=...) (pip install shimmy gym)"
)
RESET = "give it `reset(self, *, seed=None, options=None)`, which returns (obs, info)"
STEP = "return (obs, reward, terminated, truncated, info)"
OLD_STEP = f"its step gives (obs, reward, done, info), as gym before 0.26 did: {STEP}, or {OLD_PACKAGE}"
VECTOR = (
    "is a vector of environments; give one environment, or a function that makes one, and num_envs makes several of it"
)
# Values of step and of reset.
NUM_STEP, NUM_OLD_STEP, NUM_RESET = 5, 4, 2
# What is taken without a look: each step of each environment comes by here.
NUMBERS, FLAGS = (int, np.floating, np.integer), (bool, np.bool_)


def object_problem(env: Any) -> str | None:
    """Why an object is no environment of Gymnasium's, or None."""
    if isinstance(env, type):
        return f"is the class {env.__name__}, not an environment; return {env.__name__}(...)"
    if isinstance(env, VectorEnv):
        return VECTOR
    if not isinstance(env, gymnasium.Env):
        return f"is of {type(env).__module__}.{type(env).__qualname__}, which is no gymnasium.Env; {OLD_PACKAGE}"
    return None


def interface_problem(env: gymnasium.Env) -> str | None:
    """Why an environment cannot be reset or stepped, as far as its code says so without being run, or None.

    Gymnasium's wrappers hand on what they are given and unpack what comes back: what counts is the first layer below
    them.
    """
    layer = below_gymnasium_wrappers(env, "reset")
    try:
        signature = inspect.signature(layer.reset)
    except (TypeError, ValueError):  # of a class in C
        pass
    else:
        if not accepts(signature, seed=0):
            return f"takes no seed in reset{signature}, as in gym before 0.26: {RESET}, or {OLD_PACKAGE}"
        if layer is not env and not accepts(signature, seed=0, options=None):
            return f"takes no options in reset{signature}, and Gymnasium's wrappers hand them on: {RESET}"
    step = below_gymnasium_wrappers(env, "step").step
    return f"cannot be stepped: {OLD_STEP}" if returned_numbers(step) == {NUM_OLD_STEP} else None


def accepts(signature: inspect.Signature, **arguments: Any) -> bool:
    """Whether a function of a signature can be called with these arguments."""
    try:
        signature.bind(**arguments)
    except TypeError:
        return False
    return True


def returned_numbers(function: Callable) -> set[int | None]:
    """How many values each `return` of a function gives, None where it does not write them out; read, not run."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, ValueError, SyntaxError):  # no source, or more than one function in its lines
        return {None}
    if not isinstance(definition, ast.FunctionDef) or definition.decorator_list or hasattr(function, "__wrapped__"):
        return {None}  # no function, or what becomes of its values is written elsewhere
    return {
        len(value.elts) if isinstance(value, ast.Tuple) and not has_star(value) else None
        for value in returned(definition)
    }


def returned(node: ast.AST) -> list[ast.expr | None]:
    """The values that a function's own returns give, not those of functions inside it."""
    inner = [part for part in ast.iter_child_nodes(node) if not isinstance(part, ast.FunctionDef | ast.Lambda)]
    own = [node.value] if isinstance(node, ast.Return) else []
    return own + [value for part in inner for value in returned(part)]


def has_star(value: ast.Tuple) -> bool:
    """Whether a written tuple holds `*others`."""
    return any(isinstance(element, ast.Starred) for element in value.elts)


def read_reset(answer: Any) -> Any:
    """The first observation, of what `reset` gave.

    Raises:
        ValueError: if that is not (obs, info).
    """
    # A Dict of two, or a vector of two numbers, would be unpacked without a word.
    if not isinstance(answer, tuple | list) or len(answer) != NUM_RESET or not isinstance(answer[1], Mapping | None):
        raise ValueError(f"its reset does not give (obs, info), but {shown(answer)}: {RESET}, or {OLD_PACKAGE}")
    return answer[0]


def read_step(answer: Any) -> tuple[Any, float, bool, bool]:
    """Successor, reward, terminated and truncated, of what `step` gave.

    Raises:
        ValueError: if that is not (obs, reward, terminated, truncated, info), or the reward is no number.
    """
    if not isinstance(answer, tuple | list) or len(answer) != NUM_STEP:
        old = isinstance(answer, tuple | list) and len(answer) == NUM_OLD_STEP
        raise ValueError(OLD_STEP if old else f"its step gives {shown(answer)}: {STEP}")
    obs, reward, terminated, truncated, _ = answer
    if not isinstance(reward, float):
        reward = float(reward) if isinstance(reward, NUMBERS) else read_reward(reward)
    if terminated is not False or truncated is not False:
        terminated, truncated = read_flag("terminated", terminated), read_flag("truncated", truncated)
    return obs, reward, terminated, truncated


def read_reward(reward: Any) -> float:
    """The number that a reward is, whatever it is kept in.

    Raises:
        ValueError: if it is none, or several.
    """
    shape = np.shape(reward)
    if np.prod(shape) != 1:
        raise ValueError(
            f"the reward has shape {shape}: it is a vector, and DDPG learns from one number; weigh its parts in "
            "gymnasium.wrappers.TransformReward(env, lambda reward: float(np.dot(weights, reward)))"
        )
    value = np.asarray(reward).item() if shape else reward
    try:
        if value is None or isinstance(value, str | bytes):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"the reward must be a number, not {shown(reward)}") from None


def read_flag(name: str, flag: Any) -> bool:
    """The truth that `terminated` or `truncated` is, whatever it is kept in.

    Raises:
        ValueError: if it is neither true nor false.
    """
    if isinstance(flag, FLAGS):
        return bool(flag)
    array = np.asarray(flag)
    if array.size != 1 or array.dtype.kind not in "biuf" or array.item() not in (0, 1):
        raise ValueError(f"{name} must be True or False, not {shown(flag)}: {STEP}")
    return bool(array.item())


def shown(value: Any) -> str:
    """What an answer is, in words."""
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    if value is None:
        return "None"
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + (f" of shape {shape}" if shape is not None else "")

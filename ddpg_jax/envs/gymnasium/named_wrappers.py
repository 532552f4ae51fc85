"""Wrappers that a person chooses: Gymnasium's by name, and their own."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium

from ddpg_jax.config import nearest, shown, split_wrapper
from ddpg_jax.envs.gymnasium.factory import describe_cause
from ddpg_jax.envs.gymnasium.spaces import env_name
from ddpg_jax.envs.own_code import look_up, names_code
from ddpg_jax.envs.protocol import EnvError

# Those of Gymnasium's whose arguments are numbers and names. Others take functions, or write files, and a run's file
# may name a wrapper.
GYMNASIUM = (
    "AddRenderObservation", "AddWhiteNoise", "ClipAction", "ClipReward", "DelayObservation", "FilterObservation",
    "FlattenObservation", "FrameStackObservation", "GrayscaleObservation", "MaxAndSkipObservation",
    "NormalizeObservation", "NormalizeReward", "ObstructView", "RecordEpisodeStatistics", "RepeatAction",
    "RescaleAction", "RescaleObservation", "ReshapeObservation", "ResizeObservation", "StickyAction",
    "TimeAwareObservation", "TimeLimit",
)  # fmt: skip


class Wrapper(NamedTuple):
    """A wrapper that was found.

    Attributes:
        name: in messages.
        around: `around(env) -> env`.
    """

    name: str
    around: Callable[[gymnasium.Env], Any]


def find_wrapper(wrapper: Any) -> Wrapper:
    """A wrapper by its name with its arguments, or the class or function itself.

    Raises:
        EnvError: if it is not known, or is none.
    """
    if not isinstance(wrapper, str):
        if not callable(wrapper):
            raise EnvError(f"a wrapper is a name, a class or a function of an environment, not {shown(wrapper)}")
        return Wrapper(getattr(wrapper, "__qualname__", repr(wrapper)), wrapper)
    try:
        name, arguments = split_wrapper(wrapper)
    except ValueError:
        raise EnvError(f"wrapper {wrapper!r} must be a name, or a name and a JSON object of its arguments") from None
    if not names_code(name):  # Gymnasium asks for tuples, which JSON has not
        arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    return Wrapper(name, functools.partial(class_of(name), **arguments))


def class_of(name: str) -> Callable[..., Any]:
    """The class or function of a wrapper's name.

    Raises:
        EnvError: if it is not known, with the nearest that is.
    """
    if names_code(name):
        return look_up(name)
    there = gymnasium.wrappers.__all__
    known = [name for name in GYMNASIUM if name in there]
    if name in known:
        found: Callable[..., Any] = getattr(gymnasium.wrappers, name)
        return found
    if name in there:
        raise EnvError(f"wrapper {name!r} is not put on by its name; do it in a function of yours, FILE.py:FUNCTION")
    raise EnvError(f"wrapper {name!r} is none of Gymnasium's, and no FILE.py:CLASS of yours; {nearest(name, known)}")


def wrap(env: gymnasium.Env, wrapper: Wrapper) -> gymnasium.Env:
    """An environment in one more wrapper.

    Raises:
        EnvError: if the wrapper does not take it, or makes something else of it.
    """
    try:
        wrapped = wrapper.around(env)
    except (EnvError, KeyboardInterrupt):
        raise
    except BaseException as error:
        cause = describe_cause(error)
        raise EnvError(f"wrapper {wrapper.name!r} cannot be put around {env_name(env)}: {cause}") from error
    if not isinstance(wrapped, gymnasium.Env):
        raise EnvError(
            f"wrapper {wrapper.name!r} makes a {type(wrapped).__name__} of {env_name(env)}, which is no gymnasium.Env; "
            "derive it from gymnasium.Wrapper"
        )
    return wrapped

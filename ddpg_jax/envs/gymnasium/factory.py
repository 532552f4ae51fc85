"""Environments are made here, whoever asks, and each is checked before anybody steps it."""

import traceback
from collections.abc import Callable
from typing import Any

import gymnasium

from ddpg_jax.envs.gymnasium.interface import VECTOR, interface_problem, object_problem
from ddpg_jax.envs.gymnasium.layers import wrapper_problem
from ddpg_jax.envs.gymnasium.spaces import env_name, read_spec
from ddpg_jax.envs.gymnasium.worker import close, describe_error
from ddpg_jax.envs.protocol import EnvError, check_num_envs
from ddpg_jax.types import EnvSpec, Tree

FACTORY = "pass a function that returns a new environment at each call, such as `lambda: gymnasium.make('Pendulum-v1')`"


def make_checked(factory: Callable[[], Any], name: str = "the environment") -> gymnasium.Env:
    """A new environment, found to be one that can be reset, stepped and learned from; it is neither reset nor stepped.

    Args:
        factory: makes it.
        name: of the environment, for messages.

    Raises:
        EnvError: if it cannot be made, or not be used; it is then closed.
    """
    if not callable(factory):
        kind = VECTOR if isinstance(factory, gymnasium.vector.VectorEnv) else "is not a function"
        raise EnvError(f"what shall make environments ({type(factory).__name__}) {kind}; {FACTORY}")
    try:
        env = factory()
    except (EnvError, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit() in a module among them
        raise EnvError(f"{name} cannot be made: {describe_cause(error)}") from error
    try:
        check(env, name)
    except BaseException:
        close(env)
        raise
    return env


def make_envs(factory: Callable[[], Any], num_envs: int) -> list[gymnasium.Env]:
    """N new environments, one as good as the other.

    Raises:
        EnvError: if one cannot be made or used, or is not like the first; all are then closed.
    """
    check_num_envs(num_envs)
    envs = [make_checked(factory)]
    try:
        spec = read_spec(envs[0])
        for index in range(1, num_envs):
            envs.append(make_next(factory, index, num_envs))
            if any(envs[index] is env for env in envs[:index]):
                raise EnvError(f"the function that makes {env_name(envs[0])} returns the same one again; {FACTORY}")
            if not have_same_spaces(read_spec(envs[index]), spec):
                raise EnvError(
                    f"environment {index} has other spaces than environment 0 of {env_name(envs[0])}; all must be alike"
                )
    except BaseException:
        for env in envs:
            close(env)
        raise
    return envs


def make_next(factory: Callable[[], Any], index: int, num_envs: int) -> gymnasium.Env:
    """One more environment, beside those that are there."""
    try:
        return make_checked(factory)
    except EnvError as error:
        raise EnvError(
            f"{error}; it was number {index + 1} of {num_envs}: where only one may exist, make one environment"
        ) from error


def check(env: Any, name: str) -> None:
    """Find out whether an object is an environment that can be used.

    Raises:
        EnvError: if it is not, saying why.
    """
    problem = object_problem(env)
    if problem:
        raise EnvError(f"{name} {problem}")
    try:
        problem = interface_problem(env) or wrapper_problem(env)
        if problem:
            raise EnvError(f"{env_name(env)} {problem}")
        read_spec(env)
    except EnvError:
        raise
    except Exception as error:  # spaces may be properties, which are code like any other
        raise EnvError(f"{name} cannot be used: {describe_cause(error)}") from error


def have_same_spaces(one: EnvSpec, other: EnvSpec) -> bool:
    """Whether two environments show and take the same."""

    def values(spec: EnvSpec) -> tuple[Tree, list[float], list[float]]:
        return spec.obs, spec.action_low.tolist(), spec.action_high.tolist()

    return values(one) == values(other)


def describe_cause(error: BaseException) -> str:
    """An exception on one line, with the line of code that raised it where it says nothing."""
    text = describe_error(error)
    if not str(error).strip() and error.__traceback__ is not None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__} in line {frame.lineno} of {frame.filename}: {frame.line}"
    return one_line(text)


def one_line(text: str) -> str:
    """A text on one line, of characters that a terminal shows."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)

"""Environments: Gymnasium through a host callback, gymnax inside the program, other suites, one protocol for all."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ddpg_jax.envs.ids import module_of, newest, package_of, registered, resolve
from ddpg_jax.envs.own_code import import_modules
from ddpg_jax.envs.protocol import Env, EnvError, Restored, Timestep
from ddpg_jax.envs.suites import GYMNAX, find_suite, load


def make(
    env_id: str | Callable[..., Any],
    num_envs: int = 1,
    timeout: float | None = None,
    max_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Callable[..., Any]] = (),
    max_episode_steps: int | None = None,
) -> Env:
    """N environments: of an id that Gymnasium knows, a suite and one of its names, or a class or function of yours.

    Args:
        env_id: "Pendulum-v1" or "gymnax/Pendulum-v1" for one, or what makes a `gymnasium.Env` when called.
        num_envs: N.
        timeout: seconds that one step or reset may take, each environment then having a process of its own.
        max_steps: after which an episode is truncated that has not ended by itself.
        env_kwargs: arguments of the environment; of gymnax's, its parameters.
        wrappers: around it, the innermost first: names, as `Config.wrappers` has them, classes or functions.
        max_episode_steps: after which an episode is truncated, in place of the environment's own limit.

    Raises:
        EnvError: if there is no such environment, DDPG cannot use its spaces, or a timeout or a wrapper is given for
            a compiled one.
    """
    # A package is needed only by who uses it, and none by `import ddpg_jax`.
    if isinstance(env_id, str) and (suite := find_suite(env_id)) and not suite.registers:
        if timeout is not None:
            raise EnvError(f"{env_id!r} is stepped by its suite: leave env_timeout unset (it is {timeout:g})")
        if wrappers:
            raise EnvError(f"{env_id!r} takes no wrappers of Gymnasium's: leave wrappers unset")
        module = load(suite, env_id)
        return module.make(suite.name(env_id), num_envs, max_steps, dict(env_kwargs or {}), max_episode_steps)
    from ddpg_jax.envs import gymnasium

    return gymnasium.make(
        env_id,
        num_envs,
        timeout,
        max_steps=max_steps,
        env_kwargs=env_kwargs,
        wrappers=wrappers,
        max_episode_steps=max_episode_steps,
    )


__all__ = [
    "GYMNAX",
    "Env",
    "EnvError",
    "Restored",
    "Timestep",
    "import_modules",
    "make",
    "module_of",
    "newest",
    "package_of",
    "registered",
    "resolve",
]

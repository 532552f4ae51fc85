"""Environments: Gymnasium through a host callback, gymnax inside the program, one protocol for both."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ddpg_jax.envs.ids import GYMNAX, module_of, newest, package_of, registered, resolve
from ddpg_jax.envs.own_code import import_modules
from ddpg_jax.envs.protocol import Env, EnvError, Restored, Timestep


def make(
    env_id: str | Callable[..., Any],
    num_envs: int = 1,
    timeout: float | None = None,
    max_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Callable[..., Any]] = (),
    max_episode_steps: int | None = None,
) -> Env:
    """N environments of an id, Gymnasium's own or `gymnax/` and one of gymnax's, or of a class or function of yours.

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
    # Either package is needed only by who uses it, and neither by `import ddpg_jax`.
    if isinstance(env_id, str) and env_id.startswith(GYMNAX):
        if timeout is not None:
            raise EnvError(f"{env_id!r} is compiled and cannot hang: leave env_timeout unset (it is {timeout:g})")
        if wrappers:
            raise EnvError(f"{env_id!r} is compiled and takes no wrappers of Gymnasium's: leave wrappers unset")
        try:
            from ddpg_jax.envs import gymnax
        except ImportError as error:
            raise EnvError(f"{env_id!r} needs gymnax: pip install 'ddpg_jax[gymnax]' ({error})") from error
        return gymnax.make(env_id.removeprefix(GYMNAX), num_envs, max_steps, env_kwargs, max_episode_steps)
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

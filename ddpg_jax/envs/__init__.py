"""The worlds: Gymnasium through a host callback, gymnax inside the program, one protocol for both."""

import contextlib

from ddpg_jax.envs.protocol import Env, EnvError, Restored, Timestep

GYMNAX = "gymnax/"


def make(env_id: str, num_envs: int = 1, timeout: float | None = None) -> Env:
    """N environments of an id: Gymnasium's own, or `gymnax/` and one of gymnax's.

    Args:
        env_id: "Pendulum-v1" or "gymnax/Pendulum-v1" for one.
        num_envs: N.
        timeout: seconds that one step or reset may take, each environment then having a process of its own.

    Raises:
        EnvError: if there is no such environment, DDPG cannot use its spaces, or a timeout is given for a
            compiled one.
    """
    # Either package is needed only by who uses it, and neither by `import ddpg_jax`.
    if env_id.startswith(GYMNAX):
        if timeout is not None:
            raise EnvError(f"{env_id!r} is compiled and cannot hang: leave env_timeout unset (it is {timeout:g})")
        try:
            from ddpg_jax.envs import gymnax
        except ImportError as error:
            raise EnvError(f"{env_id!r} needs gymnax: pip install 'ddpg_jax[gymnax]' ({error})") from error
        return gymnax.make(env_id.removeprefix(GYMNAX), num_envs)
    from ddpg_jax.envs import gymnasium

    return gymnasium.make(env_id, num_envs, timeout)


def registered(env_id: str) -> bool:
    """Whether an id names an environment that is installed here, so that making it imports no module the id names.

    Ids read from a file are data: Gymnasium imports, and so runs, the module of an id like `module:Name-v0`.
    """
    if env_id.startswith(GYMNAX):
        try:
            import gymnax
        except ImportError:
            return False
        return env_id.removeprefix(GYMNAX) in gymnax.registered_envs
    from gymnasium.envs.registration import registry

    from ddpg_jax.envs.robotics import register_robotics

    with contextlib.suppress(EnvError):  # its package is missing, and so is the id
        register_robotics(env_id)
    return ":" not in env_id and env_id in registry


__all__ = ["Env", "EnvError", "Restored", "Timestep", "make", "registered"]

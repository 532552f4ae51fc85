"""Environments: Gymnasium through a host callback, gymnax inside the program, one protocol for both."""

from ddpg_jax.envs.ids import GYMNAX, import_modules, module_of, newest, package_of, registered, resolve
from ddpg_jax.envs.protocol import Env, EnvError, Restored, Timestep


def make(env_id: str, num_envs: int = 1, timeout: float | None = None, max_steps: int | None = None) -> Env:
    """N environments of an id: Gymnasium's own, or `gymnax/` and one of gymnax's.

    Args:
        env_id: "Pendulum-v1" or "gymnax/Pendulum-v1" for one.
        num_envs: N.
        timeout: seconds that one step or reset may take, each environment then having a process of its own.
        max_steps: after which an episode is truncated that has not ended by itself.

    Raises:
        EnvError: if there is no such environment, DDPG cannot use its spaces, or a timeout is given for a
            compiled one.
    """
    if not isinstance(env_id, str):
        raise EnvError(
            f"an environment is named by its id, not by a {type(env_id).__name__}; for one of your own: "
            "ddpg_jax.envs.gymnasium.from_factory(lambda: ...)"
        )
    # Either package is needed only by who uses it, and neither by `import ddpg_jax`.
    if env_id.startswith(GYMNAX):
        if timeout is not None:
            raise EnvError(f"{env_id!r} is compiled and cannot hang: leave env_timeout unset (it is {timeout:g})")
        try:
            from ddpg_jax.envs import gymnax
        except ImportError as error:
            raise EnvError(f"{env_id!r} needs gymnax: pip install 'ddpg_jax[gymnax]' ({error})") from error
        return gymnax.make(env_id.removeprefix(GYMNAX), num_envs, max_steps)
    from ddpg_jax.envs import gymnasium

    return gymnasium.make(env_id, num_envs, timeout, max_steps=max_steps)


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

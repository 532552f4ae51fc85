"""Environments: Gymnasium through a host callback, gymnax inside the program, other suites, one protocol for all."""

from ddpg_jax.envs.ids import import_modules, module_of, newest, package_of, registered, resolve
from ddpg_jax.envs.protocol import Env, EnvError, Restored, Timestep
from ddpg_jax.envs.suites import GYMNAX, find_suite, load


def make(env_id: str, num_envs: int = 1, timeout: float | None = None, max_steps: int | None = None) -> Env:
    """N environments of an id: one that Gymnasium knows, or a suite and one of its names.

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
    suite = find_suite(env_id)
    # A package is needed only by who uses it, and none by `import ddpg_jax`.
    if suite and not suite.registers:
        if timeout is not None:
            raise EnvError(f"{env_id!r} is compiled and cannot hang: leave env_timeout unset (it is {timeout:g})")
        return load(suite, env_id).make(suite.name(env_id), num_envs, max_steps)
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

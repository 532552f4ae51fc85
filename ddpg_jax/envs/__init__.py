"""The worlds: Gymnasium through a host callback, gymnax inside the program, one protocol for both."""

from ddpg_jax.envs.protocol import Env, EnvError, Timestep

GYMNAX = "gymnax/"


def make(env_id: str, num_envs: int = 1) -> Env:
    """N environments of an id: Gymnasium's own, or `gymnax/` and one of gymnax's.

    Args:
        env_id: "Pendulum-v1" or "gymnax/Pendulum-v1" for one.
        num_envs: N.

    Raises:
        EnvError: if there is no such environment, or DDPG cannot use its spaces.
    """
    # Either package is needed only by who uses it, and neither by `import ddpg_jax`.
    if env_id.startswith(GYMNAX):
        try:
            from ddpg_jax.envs import gymnax
        except ImportError as error:
            raise EnvError(f"{env_id!r} needs gymnax: pip install 'ddpg_jax[gymnax]' ({error})") from error
        return gymnax.make(env_id.removeprefix(GYMNAX), num_envs)
    from ddpg_jax.envs import gymnasium

    return gymnasium.make(env_id, num_envs)


__all__ = ["Env", "EnvError", "Timestep", "make"]

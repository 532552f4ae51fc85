"""The Gymnasium bridge: real environments, stepped from inside the compiled loop by a host callback.

To the loop it is an `Env` like any other. The environments live in a `Host`; an exception there is
kept and answered with `alive = False`, so that the learner's state always comes back whole.
"""

import functools
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp

from ddpg_jax.envs.host import Episodes, Host
from ddpg_jax.envs.host import episode_seed as episode_seed
from ddpg_jax.envs.host_call import host_call
from ddpg_jax.envs.protocol import Env, EnvError, Timestep
from ddpg_jax.envs.worker import worker_factory
from ddpg_jax.types import Array, Key, float_dtype, scale_action


def make(env_id: str, num_envs: int = 1, timeout: float | None = None, **options: Any) -> Env:
    """N environments of a registered Gymnasium id.

    Args:
        env_id: "Pendulum-v1" for one.
        num_envs: N.
        timeout: seconds that one step or reset may take, each environment then having a process of its own.
        options: handed to `gymnasium.make`.

    Raises:
        EnvError: if there is no such id, a package is missing, or its spaces are not Boxes that DDPG can use.
    """
    if timeout is None:
        return from_factory(functools.partial(make_one, env_id, **options), num_envs)
    # The id may be registered in this process alone, so the others get what it stands for.
    sample = make_one(env_id, **options)
    sample.close()
    return from_factory(functools.partial(make_one, sample.spec), num_envs, timeout)


def make_one(env_id: Any, **options: Any) -> gymnasium.Env:
    """One environment of an id or specification; Gymnasium's reasons for refusing it come as `EnvError`."""
    try:
        return gymnasium.make(env_id, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError) as error:
        raise EnvError(f"environment {env_id!r} cannot be made: {error}") from error


def from_factory(factory: Callable[[], gymnasium.Env], num_envs: int = 1, timeout: float | None = None) -> Env:
    """N environments made by a function of yours.

    Args:
        factory: returns a new environment at each call.
        num_envs: N.
        timeout: seconds that one step or reset may take, each environment then having a process of its own;
            the factory must then be one that cloudpickle can send.

    Raises:
        EnvError: if its spaces are not Boxes that DDPG can use.
    """
    host = Host(factory if timeout is None else worker_factory(factory, timeout), num_envs)
    spec, action_space = host.spec, host.action_space
    action_shape = action_space.low.shape
    action_dtype = jax.dtypes.canonicalize_dtype(action_space.dtype)
    first_obs = jax.ShapeDtypeStruct((num_envs, *spec.obs.shape), spec.obs.dtype)
    observations = jax.ShapeDtypeStruct((2, num_envs, *spec.obs.shape), spec.obs.dtype)
    outcomes = jax.ShapeDtypeStruct((num_envs, 4), float_dtype())

    def reset(key: Key) -> tuple[Episodes, Array]:
        run_seed = jax.random.bits(key)
        return Episodes(run_seed, jnp.zeros(num_envs, jnp.int32)), host_call(host.reset, [first_obs], run_seed)[0]

    def step(key: Key, state: Episodes, action: Array) -> tuple[Episodes, Array, Timestep]:
        env_action = scale_action(action, spec).astype(action_dtype).reshape(num_envs, *action_shape)
        (next_obs, obs), rows = host_call(host.step, [observations, outcomes], state.run_seed, state.number, env_action)
        reward, terminated, truncated, alive = rows[:, 0], rows[:, 1] > 0, rows[:, 2] > 0, rows[:, 3] > 0
        timestep = Timestep(reward, terminated, truncated, next_obs, alive.all())
        return state._replace(number=state.number + (terminated | truncated)), obs, timestep

    return Env(spec, num_envs, reset, step, lambda: host.error, host.close, host.save, host.restore, host.moment)

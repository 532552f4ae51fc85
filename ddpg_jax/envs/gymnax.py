"""gymnax environments as an `Env`: everything stays in the compiled program."""

import dataclasses
import importlib.metadata
from collections.abc import Collection, Mapping
from typing import Any

import gymnax
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.action_bounds import scale_action
from ddpg_jax.config import conforms, nearest, shown
from ddpg_jax.envs.protocol import Env, EnvError, Timestep, bounds_problem, check_num_envs, select
from ddpg_jax.types import Array, EnvSpec, Key, Tree, float_dtype


def make(
    env_id: str,
    num_envs: int = 1,
    max_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
) -> Env:
    """N copies of a gymnax environment.

    Args:
        env_id: gymnax's own id, "Pendulum-v1" for one.
        num_envs: N.
        max_steps: after which an episode is truncated, if its own limit is not below.
        env_kwargs: parameters in place of its default ones.
        max_episode_steps: its limit, in place of its own.

    Raises:
        EnvError: if there is no such environment, a parameter is not one of its own, or its spaces are not vectors of
            real numbers.
    """
    world, params = make_world(env_id, env_kwargs, max_episode_steps)
    if max_steps is not None:
        params = params.replace(max_steps_in_episode=min(max_steps, params.max_steps_in_episode))
    return from_gymnax(world, params, num_envs)


def make_world(
    env_id: str, env_kwargs: Mapping[str, Any] | None = None, max_episode_steps: int | None = None
) -> tuple[Any, Any]:
    """One of gymnax's environments, and its parameters.

    Raises:
        EnvError: if there is no such environment, or a parameter is not one of its own.
    """
    if env_id not in gymnax.registered_envs:
        raise EnvError(f"gymnax has no environment {env_id!r}; it has {', '.join(gymnax.registered_envs)}")
    world, params = gymnax.make(env_id)
    own = {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
    changes = dict(env_kwargs or {})
    for name, value in changes.items():
        if name not in own:
            raise EnvError(f"env_kwargs.{name} is no parameter of gymnax/{env_id}; {nearest(name, own)}")
        if not conforms(value, type(own[name])):
            raise EnvError(f"env_kwargs.{name} = {shown(value)} must be {type(own[name]).__name__}")
    if max_episode_steps is not None:
        changes["max_steps_in_episode"] = max_episode_steps
    return world, params.replace(**changes)


def names() -> Collection[str]:
    """The ids that gymnax knows."""
    return gymnax.registered_envs


def spaces(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """The observation space and the action space of an environment."""
    world, params = make_world(env_id, env_kwargs)
    return world.observation_space(params), world.action_space(params)


def from_gymnax(world: Any, params: Any, num_envs: int = 1) -> Env:
    """N copies of any object with gymnax's interface (`reset_env`, `step_env`, `is_truncated`).

    The environment's own automatic reset is not used, since the successor of a last step matters.

    Args:
        world: the environment.
        params: its parameters.
        num_envs: N.

    Raises:
        EnvError: if its spaces are not vectors of real numbers, or N is no number of environments.
    """
    check_num_envs(num_envs)
    spec = read_spec(world, params)

    def reset(key: Key) -> tuple[Tree, Array]:
        obs, state = jax.vmap(world.reset_env, (0, None))(jax.random.split(key, num_envs), params)
        return state, obs.astype(spec.obs.dtype)

    def step(key: Key, state: Tree, action: Array) -> tuple[Tree, Array, Timestep]:
        def keys(purpose: int) -> Key:
            return jax.vmap(jax.random.split)(jax.random.split(key, num_envs))[:, purpose]

        env_action = scale_action(action, spec).reshape(num_envs, *world.action_space(params).shape)
        step_result = jax.vmap(world.step_env, (0, 0, 0, None))(keys(0), state, env_action, params)
        next_obs, next_state, reward, terminated, _ = step_result
        truncated = jax.vmap(world.is_truncated, (0, None))(next_state, params)
        ended = terminated | truncated

        def reset_ended() -> tuple[Array, Tree]:
            first = jax.vmap(world.reset_env, (0, None))(keys(1), params)
            return jax.vmap(select)(ended, first, (next_obs, next_state))

        # Few steps end an episode, and drawing a first state takes as long as the step.
        obs, state = jax.lax.cond(ended.any(), reset_ended, lambda: (next_obs, next_state))
        obs, next_obs = obs.astype(spec.obs.dtype), next_obs.astype(spec.obs.dtype)
        reward = jnp.asarray(reward, float_dtype())
        return state, obs, Timestep(reward, terminated, truncated, next_obs, jnp.bool_(True))

    return Env(spec, num_envs, reset, step)


def read_spec(world: Any, params: Any) -> EnvSpec:
    """The spaces of a gymnax environment, checked."""
    if not hasattr(world, "is_truncated"):
        version = importlib.metadata.version("gymnax")
        raise EnvError(f"gymnax {version} hides time limits; install gymnax >= 1.0.1 (pip install 'ddpg_jax[gymnax]')")
    action_space, obs_space = world.action_space(params), world.observation_space(params)
    for name, space in (("action", action_space), ("observation", obs_space)):
        if not isinstance(space, gymnax.environments.spaces.Box):
            raise EnvError(f"{world.name} has a {type(space).__name__} {name} space; DDPG needs a Box")
    low = np.broadcast_to(np.asarray(action_space.low, float), action_space.shape).ravel()
    high = np.broadcast_to(np.asarray(action_space.high, float), action_space.shape).ravel()
    problem = bounds_problem(low, high)
    if problem:
        raise EnvError(f"{world.name}: {problem}")
    dtype = jax.dtypes.canonicalize_dtype(obs_space.dtype)
    return EnvSpec(jax.ShapeDtypeStruct(obs_space.shape, dtype), low, high)

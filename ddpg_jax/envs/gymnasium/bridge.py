"""The Gymnasium bridge: real environments, stepped from inside the compiled loop by a host callback.

To the loop it is an `Env` like any other. The environments live in a `Host`; an exception there is
kept and answered with `alive = False`, so that the learner's state always comes back whole.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp

from ddpg_jax.action_bounds import scale_action
from ddpg_jax.callbacks.deferred_call import DeferredCall, make_deferred_call
from ddpg_jax.callbacks.host_call import make_host_call
from ddpg_jax.envs.gymnasium.factory import make_checked
from ddpg_jax.envs.gymnasium.goals import GoalReward, read_goal_reward
from ddpg_jax.envs.gymnasium.host import Episodes, Host
from ddpg_jax.envs.gymnasium.host import episode_seed as episode_seed
from ddpg_jax.envs.gymnasium.making import for_processes, make_factory
from ddpg_jax.envs.gymnasium.worker import worker_factory
from ddpg_jax.envs.protocol import Env, EnvError, Timestep, select
from ddpg_jax.types import Array, EnvSpec, Key, Tree, float_dtype


def make(
    env_id: Any,
    num_envs: int = 1,
    timeout: float | None = None,
    goal_reward: GoalReward | None = None,
    max_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Callable] = (),
    **options: Any,
) -> Env:
    """N environments of a registered Gymnasium id, or of a class or function of yours.

    Args:
        env_id: "Pendulum-v1" for one, or what makes an environment when called.
        num_envs: N.
        timeout: seconds that one step or reset may take, each environment then having a process of its own.
        goal_reward: see `from_factory`.
        max_steps: after which an episode is truncated that has not ended by itself.
        env_kwargs: arguments of the environment.
        wrappers: around it, the innermost first: names, as `Config.wrappers` has them, classes or functions.
        options: handed to `gymnasium.make`; of your own, `max_episode_steps` and `render_mode` are known.

    Raises:
        EnvError: if there is no such id, a package is missing, its spaces are not Boxes that DDPG can use, or
            `goal_reward` is not its own.
    """
    if timeout is not None:
        env_id = for_processes(env_id)
    factory = make_factory(env_id, env_kwargs, wrappers, **options)
    return from_factory(factory, num_envs, timeout, goal_reward, max_steps)


def from_factory(
    factory: Callable[[], gymnasium.Env],
    num_envs: int = 1,
    timeout: float | None = None,
    goal_reward: GoalReward | None = None,
    max_steps: int | None = None,
) -> Env:
    """N environments made by a function of yours.

    Args:
        factory: returns a new environment at each call.
        num_envs: N.
        timeout: seconds that one step or reset may take, each environment then having a process of its own;
            the factory must then be one that cloudpickle can send.
        goal_reward: of a goal environment, `goal_reward(achieved [..., G], desired [..., G]) -> [...]` in JAX; by
            default its own `compute_reward`, if that can be traced.
        max_steps: after which an episode is truncated that has not ended by itself.

    Raises:
        EnvError: if its spaces are not Boxes, or Dicts of them, that DDPG can use, or `goal_reward` is not its own.
    """
    if timeout is not None:
        factory = worker_factory(factory, timeout, make_checked(factory))
    return from_host(Host(factory, num_envs, max_steps), goal_reward)


def from_host(host: Host, goal_reward: GoalReward | None = None) -> Env:
    """The environments of a host, which are closed if they cannot be used.

    Args:
        host: owns them.
        goal_reward: see `from_factory`.
    """
    try:
        reward_of_goals, goal_problem = read_goal_reward(host.envs[0], host.spec, goal_reward)
    except EnvError:
        host.close()
        raise
    return env_of_host(host, host.spec._replace(goal_reward=reward_of_goals), goal_problem)


def read_answer(structure: Any, state: Episodes, *arrays: Array) -> tuple[Episodes, Tree, Timestep]:
    """What a host wrote in one step: the episodes, the observations to act on, and the step itself.

    Args:
        structure: of the observations.
        state: before the step.
        arrays: leaves of the successors, of the observations that begin the next episodes, and the outcomes.
    """
    *observed, reward, terminated, truncated, alive = arrays
    halves = observed[: structure.num_leaves], observed[structure.num_leaves :]
    next_obs, first = (jax.tree.unflatten(structure, half) for half in halves)
    ended = terminated | truncated
    obs = jax.vmap(select)(ended, first, next_obs)
    timestep = Timestep(reward, terminated, truncated, next_obs, alive)
    return state._replace(number=state.number + ended), obs, timestep


def env_of_host(host: Any, spec: EnvSpec, goal_problem: str) -> Env:
    """The `Env` that steps a host's environments from inside a compiled program.

    Args:
        host: a `Host`, or what has its methods.
        spec: of its environments.
        goal_problem: why `spec` has no reward of goals, or "".
    """
    num_envs, action_space = host.num_envs, host.action_space
    action_shape = action_space.low.shape
    action_dtype = jax.dtypes.canonicalize_dtype(action_space.dtype)
    leaves, structure = jax.tree.flatten(spec.obs)
    observations = [jax.ShapeDtypeStruct((num_envs, *leaf.shape), leaf.dtype) for leaf in leaves]
    flags = jax.ShapeDtypeStruct((num_envs,), jnp.bool_)
    outcomes = jax.ShapeDtypeStruct((num_envs,), float_dtype()), flags, flags, jax.ShapeDtypeStruct((), jnp.bool_)
    run_seed, number, env_action = (
        jax.ShapeDtypeStruct((), jnp.uint32),
        jax.ShapeDtypeStruct((num_envs,), jnp.int32),
        jax.ShapeDtypeStruct((num_envs, *action_shape), action_dtype),
    )
    reset_host = make_host_call(host.reset, [*observations, number], [run_seed])
    step_call = host.step, [*observations, *observations, *outcomes], [run_seed, number, env_action]
    step_host, deferred = make_host_call(*step_call), make_deferred_call(*step_call)

    def reset(key: Key) -> tuple[Episodes, Tree]:
        run_seed = jax.random.bits(key, dtype=jnp.uint32)
        *first, number = reset_host(run_seed)
        return Episodes(run_seed, number), jax.tree.unflatten(structure, first)

    def host_arguments(state: Episodes, action: Array) -> tuple[Array, Array, Array]:
        env_action = scale_action(action, spec).astype(action_dtype).reshape(num_envs, *action_shape)
        return state.run_seed, state.number, env_action

    def step(key: Key, state: Episodes, action: Array) -> tuple[Episodes, Tree, Timestep]:
        return read_answer(structure, state, *step_host(*host_arguments(state, action)))

    def step_beside(
        deferred: DeferredCall, key: Key, state: Episodes, action: Array, work: Callable[..., tuple[Tree, Array]]
    ) -> tuple[Tree, tuple[Episodes, Tree, Timestep]]:
        result, arrays = deferred(host_arguments(state, action), work)
        return result, read_answer(structure, state, *arrays)

    failure = lambda: host.error  # noqa: E731
    beside = functools.partial(step_beside, deferred) if deferred else None
    hosted = failure, host.close, host.save, host.restore, host.describe

    # Closed by who made them.
    def share(max_steps: int | None) -> Env:
        return env_of_host(host.share(max_steps), spec, goal_problem)._replace(close=lambda: None)

    return Env(spec, num_envs, reset, step, *hosted, goal_problem, beside, share)

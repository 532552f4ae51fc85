"""How good a policy is: whole episodes in environments of its own."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.envs.protocol import Env, EnvError
from ddpg_jax.training.pace import FIRST, next_pace
from ddpg_jax.types import Array, Key, Tree, float_dtype


class Evaluation(NamedTuple):
    """Results of whole episodes.

    Attributes:
        returns: undiscounted sum of rewards of each episode, in the environment's unit, `[E]`.
        lengths: steps of each episode, `[E]`.
    """

    returns: np.ndarray
    lengths: np.ndarray


class Rollout(NamedTuple):
    """What is carried from step to step; every environment plays the same number R of episodes."""

    time: Array
    env: Tree
    obs: Tree
    alive: Array
    finished: Array
    running_return: Array
    running_length: Array
    returns: Array
    lengths: Array


def make_evaluate(env: Env, policy: Callable[[Tree, Tree], Array], num_episodes: int) -> Callable:
    """Build `evaluate(key, actor_params, between) -> Evaluation`.

    Each of the N environments plays the same number of episodes, so that short ones are not counted
    more often than long ones. `between()`, if given, is called about once a second, and what it raises
    ends the evaluation.

    Args:
        env: environments that nothing else uses.
        policy: `policy(actor_params, obs [N, O]) -> action [N, A]`.
        num_episodes: episodes E of one evaluation.

    Returns:
        The function. It raises EnvError if the environments fail.
    """
    rounds = -(-num_episodes // env.num_envs)
    column = jnp.arange(env.num_envs)

    @jax.jit
    def begin(key: Key) -> Rollout:
        state, obs = env.reset(key)
        zeros, counts = jnp.zeros(env.num_envs, float_dtype()), jnp.zeros(env.num_envs, jnp.int32)
        table = jnp.zeros((rounds, env.num_envs))
        returns, lengths = table.astype(zeros.dtype), table.astype(int)
        return Rollout(jnp.int32(0), state, obs, jnp.bool_(True), counts, zeros, counts, returns, lengths)

    def step(key: Key, params: Tree, rollout: Rollout) -> Rollout:
        state, obs, timestep = env.step(key, rollout.env, policy(params, rollout.obs))
        ended = timestep.terminated | timestep.truncated
        value, length = rollout.running_return + timestep.reward, rollout.running_length + 1
        # Episodes beyond the last round have no row; JAX drops writes out of range.
        row = jnp.where(ended, rollout.finished, rounds)
        return Rollout(
            time=rollout.time + 1,
            env=state,
            obs=obs,
            alive=timestep.alive,
            finished=rollout.finished + ended,
            running_return=jnp.where(ended, 0, value),
            running_length=jnp.where(ended, 0, length),
            returns=rollout.returns.at[row, column].set(value),
            lengths=rollout.lengths.at[row, column].set(length),
        )

    @jax.jit
    def play(key: Key, params: Tree, rollout: Rollout, until: Array) -> Rollout:
        def going(rollout: Rollout) -> Array:
            return rollout.alive & (rollout.finished < rounds).any() & (rollout.time < until)

        def iterate(rollout: Rollout) -> Rollout:
            return step(jax.random.fold_in(key, rollout.time), params, rollout)

        return jax.lax.while_loop(going, iterate, rollout)

    def evaluate(key: Key, params: Tree, between: Callable[[], None] = lambda: None) -> Evaluation:
        reset_key, play_key = jax.random.split(key)
        rollout, pace = begin(reset_key), FIRST
        while bool(rollout.alive) and int(rollout.finished.min()) < rounds:
            start, step = time.perf_counter(), int(rollout.time)
            rollout = jax.block_until_ready(play(play_key, params, rollout, step + pace))
            pace = next_pace(pace, int(rollout.time) - step, time.perf_counter() - start)
            between()
        if not rollout.alive or env.failure():
            raise env.failure() or EnvError("the environments of the evaluation failed")
        return Evaluation(*(np.asarray(table).ravel()[:num_episodes] for table in (rollout.returns, rollout.lengths)))

    return evaluate

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
        discounted_returns: sum of gamma^t r_t over the steps t of each episode, what Q at its start claims
            to know, `[E]`.
        first_obs: observation at the start of each episode, `[E, O]`.
    """

    returns: np.ndarray
    lengths: np.ndarray
    discounted_returns: np.ndarray
    first_obs: Tree


class Totals(NamedTuple):
    """Sums over the steps of an episode, of those that run `[N]`, or of those that ended `[R, N]`."""

    value: Array
    length: Array
    discounted: Array


class Rollout(NamedTuple):
    """What is carried from step to step; every environment plays the same number R of episodes."""

    time: Array
    env: Tree
    obs: Tree
    alive: Array
    finished: Array
    running: Totals
    totals: Totals
    first_obs: Tree


def make_evaluate(
    env: Env, policy: Callable[[Tree, Tree], Array], num_episodes: int, discount: float = 0.99
) -> Callable:
    """Build `evaluate(key, actor_params, between) -> Evaluation`.

    Each of the N environments plays the same number of episodes, so that short ones are not counted
    more often than long ones. `between()`, if given, is called about once a second, and what it raises
    ends the evaluation.

    Args:
        env: environments that nothing else uses.
        policy: `policy(actor_params, obs [N, O]) -> action [N, A]`.
        num_episodes: episodes E of one evaluation.
        discount: gamma of `discounted_returns`.

    Returns:
        The function. It raises EnvError if the environments fail.
    """
    rounds = -(-num_episodes // env.num_envs)
    column = np.arange(env.num_envs)

    @jax.jit
    def begin(key: Key) -> Rollout:
        state, obs = env.reset(key)
        zeros, counts = jnp.zeros(env.num_envs, float_dtype()), jnp.zeros(env.num_envs, jnp.int32)
        running = Totals(zeros, counts, zeros)
        totals, first_obs = jax.tree.map(lambda leaf: jnp.zeros((rounds, *leaf.shape), leaf.dtype), (running, obs))
        return Rollout(jnp.int32(0), state, obs, jnp.bool_(True), counts, running, totals, first_obs)

    def step(key: Key, params: Tree, rollout: Rollout) -> Rollout:
        state, obs, timestep = env.step(key, rollout.env, policy(params, rollout.obs))
        ended = timestep.terminated | timestep.truncated
        value, length, discounted = rollout.running
        now = Totals(value + timestep.reward, length + 1, discounted + discount**length * timestep.reward)

        def write(table: Array, values: Array, where: Array) -> Array:
            # Episodes beyond the last round have no row; JAX drops writes out of range.
            return table.at[jnp.where(where, rollout.finished, rounds), column].set(values)

        return Rollout(
            time=rollout.time + 1,
            env=state,
            obs=obs,
            alive=timestep.alive,
            finished=rollout.finished + ended,
            running=jax.tree.map(lambda total: jnp.where(ended, 0, total), now),
            totals=jax.tree.map(lambda table, total: write(table, total, ended), rollout.totals, now),
            first_obs=jax.tree.map(lambda table, obs: write(table, obs, length == 0), rollout.first_obs, rollout.obs),
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
        tables = (*rollout.totals, rollout.first_obs)
        return Evaluation(*jax.tree.map(lambda table: np.concatenate(np.asarray(table))[:num_episodes], tables))

    return evaluate

"""How good a policy is: whole episodes in environments of its own."""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.envs.protocol import Env, EnvError, check_env
from ddpg_jax.training.faults import (
    ACTION_REMEDY,
    Fault,
    all_finite,
    find_fault,
    find_first_fault,
    kind_of,
    split_fault,
)
from ddpg_jax.training.pace import next_pace
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
    """What is carried from step to step; every environment plays the same number R of episodes.

    `fault` is as in `Runner`; the step that it is found in is counted in `running`, and ends no episode.
    """

    time: Array
    env: Tree
    obs: Tree
    fault: Array
    finished: Array
    running: Totals
    totals: Totals
    first_obs: Tree


class Plan(NamedTuple):
    """What is evaluated and how.

    Attributes:
        env: environments that nothing else uses.
        policy: `policy(actor_params, obs [N, O]) -> action [N, A]`.
        discount: gamma of `discounted_returns`.
        rounds: episodes that each environment plays.
    """

    env: Env
    policy: Callable[[Tree, Tree], Array]
    discount: float
    rounds: int


def make_evaluate(
    env: Env, policy: Callable[[Tree, Tree], Array], num_episodes: int, discount: float = 0.99
) -> Callable:
    """Build `evaluate(key, actor_params, on_progress) -> Evaluation`.

    Each of the N environments plays the same number of episodes, so that short ones are not counted
    more often than long ones. `on_progress(steps, episodes)`, if given, is called about once a second with
    what was played so far, and what it raises ends the evaluation.

    Args:
        env: environments that nothing else uses.
        policy: `policy(actor_params, obs [N, O]) -> action [N, A]`.
        num_episodes: episodes E of one evaluation.
        discount: gamma of `discounted_returns`.

    Returns:
        The function. It raises EnvError if the environments fail, or give a number that is not finite, and
        FloatingPointError if the policy does; the message says which environment, in which episode and step.

    Raises:
        EnvError: if `env` is none.
    """
    check_env(env)
    plan = Plan(env, policy, discount, rounds=-(-num_episodes // env.num_envs))
    begin, play = jax.jit(partial(begin_rollout, plan)), jax.jit(partial(play_steps, plan))
    # Steps of a call of `play`, as the last one's time suggests; the first is for a single step, which may take long.
    pace = 1

    def evaluate(
        key: Key, params: Tree, on_progress: Callable[[int, int], None] = lambda steps, episodes: None
    ) -> Evaluation:
        nonlocal pace
        reset_key, play_key = jax.random.split(key)
        rollout = begin(reset_key)
        while rollout.fault == Fault.HEALTHY and int(rollout.finished.min()) < plan.rounds:
            start, step = time.perf_counter(), int(rollout.time)
            rollout = jax.block_until_ready(play(play_key, params, rollout, step + pace))
            pace = next_pace(pace, int(rollout.time) - step, time.perf_counter() - start)
            finished = np.minimum(np.asarray(rollout.finished), plan.rounds).sum()
            on_progress(int(rollout.time) * env.num_envs, min(int(finished), num_episodes))
        check(env, rollout)
        tables = (*rollout.totals, rollout.first_obs)
        return Evaluation(*jax.tree.map(lambda table: np.concatenate(np.asarray(table))[:num_episodes], tables))

    return evaluate


def begin_rollout(plan: Plan, key: Key) -> Rollout:
    """Environments reset, and tables of zeros for what they will have played."""
    num_envs = plan.env.num_envs
    state, obs = plan.env.reset(key)
    zeros, counts = jnp.zeros(num_envs, float_dtype()), jnp.zeros(num_envs, jnp.int32)
    running = Totals(zeros, counts, zeros)
    totals, first_obs = jax.tree.map(lambda leaf: jnp.zeros((plan.rounds, *leaf.shape), leaf.dtype), (running, obs))
    return Rollout(jnp.int32(0), state, obs, find_first_fault(obs), counts, running, totals, first_obs)


def play_steps(plan: Plan, key: Key, params: Tree, rollout: Rollout, until: Array) -> Rollout:
    """Play until every environment has played its episodes, or so many steps, or a fault."""

    def condition(rollout: Rollout) -> Array:
        return (rollout.fault == Fault.HEALTHY) & (rollout.finished < plan.rounds).any() & (rollout.time < until)

    def body(rollout: Rollout) -> Rollout:
        return play_step(plan, jax.random.fold_in(key, rollout.time), params, rollout)

    return jax.lax.while_loop(condition, body, rollout)


def play_step(plan: Plan, key: Key, params: Tree, rollout: Rollout) -> Rollout:
    """One step of all environments, on the greedy policy."""
    action = plan.policy(params, rollout.obs)
    state, obs, timestep = plan.env.step(key, rollout.env, action)
    value, length, discounted = rollout.running
    now = Totals(value + timestep.reward, length + 1, discounted + plan.discount**length * timestep.reward)
    # The discounted sum is never greater than the greatest of the others.
    numbers = action, obs, timestep, now.value
    healthy = all_finite(*numbers)
    ended = (timestep.terminated | timestep.truncated) & healthy
    column = np.arange(plan.env.num_envs)

    def write(table: Array, values: Array, where: Array) -> Array:
        # Episodes beyond the last round have no row; JAX drops writes out of range.
        return table.at[jnp.where(where, rollout.finished, plan.rounds), column].set(values)

    return Rollout(
        time=rollout.time + 1,
        env=state,
        obs=obs,
        fault=jax.lax.cond(healthy, lambda: jnp.int32(Fault.HEALTHY), lambda: find_fault(*numbers)),
        finished=rollout.finished + ended,
        running=jax.tree.map(lambda total: jnp.where(ended, 0, total), now),
        totals=jax.tree.map(lambda table, total: write(table, total, ended), rollout.totals, now),
        first_obs=jax.tree.map(lambda table, obs: write(table, obs, length == 0), rollout.first_obs, rollout.obs),
    )


def check(env: Env, rollout: Rollout) -> None:
    """Raise what ended an evaluation before its time, if anything did."""
    kind = kind_of(rollout.fault)
    if kind == Fault.ACTION_NOT_FINITE:
        raise FloatingPointError(f"{env.failure() or 'an action is not finite'}; {ACTION_REMEDY}")
    if kind == Fault.NOT_FINITE:
        index, field = split_fault(rollout.fault, rollout.obs, "sum")
        step, episode = int(rollout.running.length[index]), int(rollout.finished[index])
        where = f"step {step} of episode {episode}" if step else f"episode {episode}"
        error = EnvError(f"environment {index} gave {field} in {where}; it is {env.describe(index)}")
        no_steps = np.zeros(env.num_envs, np.int32)
        with contextlib.suppress(EnvError):  # made anew, for who tries again
            env.restore(rollout.env, rollout.obs, no_steps, env.save(no_steps), [index])
        raise error
    if kind != Fault.HEALTHY or env.failure():
        raise env.failure() or EnvError("the environments of the evaluation failed")

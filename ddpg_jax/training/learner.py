"""Learning: sample, update, reprioritise, as often as asked."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from ddpg_jax.agent.ddpg import Agent, AgentState, UpdateInfo
from ddpg_jax.replay.buffer import Replay, ReplayState
from ddpg_jax.types import Key, float_dtype

Learn: TypeAlias = Callable[[Key, AgentState, ReplayState], tuple[AgentState, ReplayState, UpdateInfo]]


def make_learn(agent: Agent, replay: Replay, num_updates: int) -> Learn:
    """Build `learn(key, AgentState, ReplayState) -> (AgentState, ReplayState, UpdateInfo)`.

    Args:
        agent: what learns.
        replay: what it learns from.
        num_updates: updates of one call, at least one.

    Returns:
        The function. Its report is the mean over the updates, `td_error` over the batch as well.
    """

    def step(carry: tuple[AgentState, ReplayState], keys: Key) -> tuple[tuple[AgentState, ReplayState], UpdateInfo]:
        agent_state, replay_state = carry
        sample_key, update_key = keys
        sample = replay.sample(sample_key, replay_state)
        agent_state, info = agent.update(update_key, agent_state, sample.batch)
        replay_state = replay.reprioritize(replay_state, sample.indices, info.td_error)
        return (agent_state, replay_state), info._replace(td_error=info.td_error.mean())

    def learn(key: Key, agent_state: AgentState, replay_state: ReplayState) -> tuple:
        def updates() -> tuple:
            keys = jax.random.split(key, (num_updates, 2))
            (agent, replay), infos = jax.lax.scan(step, (agent_state, replay_state), keys)
            return agent, replay, jax.tree.map(jnp.nanmean, infos)

        # An empty memory teaches nothing. The condition also keeps XLA from fusing the storing of a step
        # with the sampling after it, at the price of a copy of the whole memory.
        return jax.lax.cond(replay_state.size > 0, updates, lambda: no_learning(key, agent_state, replay_state))

    return learn


def no_learning(key: Key, agent_state: AgentState, replay_state: ReplayState) -> tuple:
    """What stands in a `learn` while nothing is to be learned yet."""
    return agent_state, replay_state, no_update(())


def no_update(shape: tuple[int, ...]) -> UpdateInfo:
    """The report of updates that were not made: nan in every field, each of that shape."""
    return UpdateInfo(*[jnp.full(shape, jnp.nan, float_dtype())] * len(UpdateInfo._fields))

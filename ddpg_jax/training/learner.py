"""Learning: sample, update, reprioritise, as often as asked."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from ddpg_jax.agent.ddpg import Agent, AgentState, UpdateInfo
from ddpg_jax.replay.buffer import Replay, ReplayState
from ddpg_jax.types import Key

Learn: TypeAlias = Callable[[Key, AgentState, ReplayState], tuple[AgentState, ReplayState, UpdateInfo]]


def make_learn(agent: Agent, replay: Replay, num_updates: int) -> Learn:
    """Build `learn(key, AgentState, ReplayState) -> (AgentState, ReplayState, UpdateInfo)`.

    Args:
        agent: what learns.
        replay: what it learns from.
        num_updates: updates of one call; 0 learns nothing and reports nan.

    Returns:
        The function. Its report is the mean over the updates, `td_error` over the batch as well.
    """

    def step(carry: tuple[AgentState, ReplayState], key: Key) -> tuple[tuple[AgentState, ReplayState], UpdateInfo]:
        agent_state, replay_state = carry
        sample_key, update_key = jax.random.split(key)
        sample = replay.sample(sample_key, replay_state)
        agent_state, info = agent.update(update_key, agent_state, sample.batch)
        replay_state = replay.reprioritize(replay_state, sample.indices, info.td_error)
        return (agent_state, replay_state), info._replace(td_error=info.td_error.mean())

    def learn(key: Key, agent_state: AgentState, replay_state: ReplayState) -> tuple:
        keys = jax.random.split(key, num_updates)
        (agent_state, replay_state), infos = jax.lax.scan(step, (agent_state, replay_state), keys)
        return agent_state, replay_state, jax.tree.map(jnp.nanmean, infos)

    return learn

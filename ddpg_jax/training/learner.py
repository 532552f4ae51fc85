"""Learning: draw batches, update, reprioritise, as often as asked."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.state import Agent, AgentState, UpdateInfo
from ddpg_jax.replay.buffer import Replay, ReplayState, Sample
from ddpg_jax.types import Array, Key, Transition, Tree, float_dtype


class Learner(NamedTuple):
    """Learning as five functions, apart so that the environment can step while the updates run.

    Attributes:
        draw: `draw(key, ReplayState, AgentState) -> samples`, the batches of the next U updates of this agent, leaves
            `[U, B, ...]`.
        update: `update(key, AgentState, samples) -> (AgentState, infos)`, U updates; reports `[U, ...]`.
        store: `store(ReplayState, Transition, samples, infos) -> ReplayState`, a step for the memory, and what the
            updates tell it.
        report: `report(infos) -> UpdateInfo`, the mean over the updates, `td_error` over the batch as well.
        token: `token(infos) -> scalar`, any number that is there when the updates are all but done.
    """

    draw: Callable[[Key, ReplayState, AgentState], Tree]
    update: Callable[[Key, AgentState, Tree], tuple[AgentState, Tree]]
    store: Callable[[ReplayState, Transition, Tree, Tree], ReplayState]
    report: Callable[[Tree], UpdateInfo]
    token: Callable[[Tree], Array]

    @property
    def last(self) -> Callable[[Tree], Array]:
        """The old name of `token`, which goes with the next version."""
        warnings.warn("Learner.last is now Learner.token", DeprecationWarning, stacklevel=2)
        return self.token


def make_learner(agent: Agent, replay: Replay, num_updates: int = 1) -> Learner:
    """Learning by an agent from a memory.

    Args:
        agent: what learns.
        replay: what it learns from.
        num_updates: updates U of one call, at least one; their batches are drawn together.
    """

    def draw(key: Key, state: ReplayState, learner: AgentState) -> Sample:
        limit = agent.reward_limit(learner)

        def samples() -> Sample:
            return jax.vmap(replay.sample, (0, None, None))(jax.random.split(key, num_updates), state, limit)

        # An empty memory has nothing to draw. Without the condition XLA would also fuse the storing of a step with the
        # drawing after it, and copy the whole memory for that.
        empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(samples))
        return jax.lax.cond(state.size > 0, samples, lambda: empty)

    def update(key: Key, state: AgentState, samples: Sample) -> tuple[AgentState, UpdateInfo]:
        def step(state: AgentState, inputs: tuple[Key, Sample]) -> tuple[AgentState, UpdateInfo]:
            update_key, sample = inputs
            return agent.update(update_key, state, sample.batch)

        return jax.lax.scan(step, state, (jax.random.split(key, num_updates), samples))

    def store(state: ReplayState, transition: Transition, samples: Sample, infos: UpdateInfo) -> ReplayState:
        return replay.add(state, transition, samples.indices.ravel(), infos.td_error.ravel())

    def report(infos: UpdateInfo) -> UpdateInfo:
        return jax.tree.map(jnp.nanmean, infos)

    def token(infos: UpdateInfo) -> Array:
        return jnp.sum(infos.critic_grad_norm + infos.actor_grad_norm)

    return Learner(draw, update, store, report, token)


def idle_learner(replay: Replay) -> Learner:
    """What stands in the loop while nothing is to be learned yet."""
    return Learner(
        draw=lambda key, state, learner: (),
        update=lambda key, state, samples: (state, ()),
        store=lambda state, transition, samples, infos: replay.add(state, transition),
        report=lambda infos: no_update(()),
        token=lambda infos: jnp.float32(0),
    )


def no_update(shape: tuple[int, ...]) -> UpdateInfo:
    """The report of updates that were not made: nan in every field, each of that shape."""
    return UpdateInfo(*[jnp.full(shape, jnp.nan, float_dtype())] * len(UpdateInfo._fields))

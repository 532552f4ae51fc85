"""Memories at work: a step adds a transition and samples a batch, in a compiled scan whose state is donated."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Contender
from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.config import ReplayConfig
from ddpg_jax.presets import PENDULUM
from ddpg_jax.replay import buffer
from ddpg_jax.replay.buffer import Replay, ReplayState
from ddpg_jax.training.learner import make_learner
from ddpg_jax.types import Array, EnvSpec, Key, Tree, transition_struct

ROWS = {"Pendulum-v1": (3, 1), "HalfCheetah-v5": (17, 6)}  # observations and actions
BATCH, CHUNK, UPDATES = 256, 200, 50
# `step(state, index, key) -> (state, number)`; the number depends on all that was sampled, or XLA would leave it out.
Step = Callable[[Tree, Array, Key], tuple[Tree, Array]]


def make_spec(name: str) -> EnvSpec:
    """Spaces of the environment, which itself is not needed."""
    obs_dim, action_dim = ROWS[name]
    return EnvSpec(jax.ShapeDtypeStruct((obs_dim,), jnp.float32), -np.ones(action_dim), np.ones(action_dim))


def transition(spec: EnvSpec, index: Array, lead: tuple[int, ...]) -> Tree:
    """A made-up transition, other values for every index."""
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(index.astype(leaf.dtype), lead + leaf.shape), transition_struct(spec)
    )


def total(tree: Tree) -> Array:
    """Sum over all leaves."""
    return sum((leaf.sum() for leaf in jax.tree.leaves(tree)), jnp.float32(0))


def make_replay(spec: EnvSpec, capacity: int) -> Replay:
    """Our memory."""
    return buffer.make_replay(spec, ReplayConfig(capacity=capacity, batch_size=BATCH))


def full(state: ReplayState, capacity: int) -> ReplayState:
    """A state whose every row has been written."""
    return state._replace(rows=jax.tree.map(jnp.ones_like, state.rows), size=jnp.int32(capacity))


def our_step(spec: EnvSpec, replay: Replay) -> Step:
    """Add and sample."""

    def step(state: ReplayState, index: Array, key: Key) -> tuple[ReplayState, Array]:
        state = replay.add(state, transition(spec, index, (1,)))
        return state, total(replay.sample(key, state).batch)

    return step


def scan(step: Step, length: int) -> Any:
    """Many steps as one jitted function `(state, key) -> (state, number)`; the state is donated."""

    def chunk(state: Tree, key: Key) -> tuple[Tree, Array]:
        inputs = (jnp.arange(length), jax.random.split(key, length))
        state, numbers = jax.lax.scan(lambda state, indexed: step(state, *indexed), state, inputs)
        return state, numbers.sum()

    return jax.jit(chunk, donate_argnums=0)


def contender(step: Step, state: Tree, length: int = CHUNK) -> Contender:
    """Call the scan over and over."""
    call, kept, key = scan(step, length), [state], jax.random.key(0)

    def run() -> None:
        kept[0], number = call(kept[0], key)
        number.block_until_ready()

    return Contender(run, length)


def ours(spec: EnvSpec, capacity: int) -> Contender:
    """Our memory alone."""
    replay = make_replay(spec, capacity)
    return contender(our_step(spec, replay), full(replay.init(), capacity))


def ours_learning(spec: EnvSpec, capacity: int) -> Contender:
    """Our memory in a training step: add, sample and update."""
    replay, agent = make_replay(spec, capacity), ddpg(spec, PENDULUM.agent)
    learner = make_learner(agent, replay)

    def step(state: tuple, index: Array, key: Key) -> tuple[tuple, Array]:
        agent_state, memory = state
        memory = replay.add(memory, transition(spec, index, (1,)))
        agent_state, infos = learner.update(key, agent_state, learner.draw(key, memory, agent_state))
        return (agent_state, memory), learner.report(infos).critic_loss

    state = (jax.jit(agent.init)(jax.random.key(0)), full(replay.init(), capacity))
    return contender(step, state, UPDATES)


def flashbax(spec: EnvSpec, capacity: int) -> Contender:
    """The memory of flashbax for independent transitions."""
    import flashbax as package

    items = package.make_item_buffer(capacity, 1, BATCH)

    def step(state: Any, index: Array, key: Key) -> tuple[Any, Array]:
        state = items.add(state, transition(spec, index, ()))
        return state, total(items.sample(state, key).experience)

    state = items.init(transition(spec, jnp.int32(0), ()))
    experience = jax.tree.map(jnp.ones_like, state.experience)
    return contender(step, state.replace(experience=experience, is_full=jnp.bool_(True)))


def numpy_rows(spec: EnvSpec, capacity: int) -> Contender:
    """One array of rows, as wide as ours."""
    width = make_replay(spec, capacity).num_bytes // (capacity * 4)
    rows, row, rng = np.ones((capacity, width), np.float32), np.ones(width, np.float32), np.random.default_rng(0)

    def run() -> None:
        for step in range(CHUNK):
            rows[step] = row
            rows.take(rng.integers(capacity, size=BATCH), axis=0)

    return Contender(run, CHUNK)

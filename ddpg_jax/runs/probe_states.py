"""Probes of the policy: its actions and their Q on states that stay the same for the whole run.

What the policy does elsewhere than at the start of an episode, and how calmly that changes, is seen on a few fixed
states. They are drawn once from the memory, and kept in the run directory: as they are, or for a Dict of observations
as one array of rows, with its parts beside each other.
"""

import os
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from ddpg_jax.agent.state import Agent, Params
from ddpg_jax.replay.buffer import Replay, ReplayState
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.metrics import Row, probe_row
from ddpg_jax.training.runner import Runner
from ddpg_jax.types import Array, Batch, Key, Tree

STATES = "probe_states.npy"
NUM_STATES = 32


def make_act_and_value(agent: Agent) -> Callable[[Params, Tree], tuple[Array, Array]]:
    """Build `act_and_value(params, obs [B, O]) -> (action [B, A], q [B])`: greedy, and by the first critic."""

    @jax.jit
    def act_and_value(params: Params, obs: Tree) -> tuple[Array, Array]:
        action = agent.act(params.actor, obs)
        return action, agent.q_values(params.critic, obs, action)[0]

    return act_and_value


def make_probe(path: Path, replay: Replay, act_and_value: Callable, key: Key) -> Callable[[Runner], Row]:
    """Build `probe(runner) -> row`.

    Args:
        path: the run directory; the states are written there when they are first needed. A run that is resumed
            before that moment draws the same ones again, since they depend on key, step and memory alone.
        replay: the memory.
        act_and_value: as `make_act_and_value` built it.
        key: of everything drawn here.
    """
    draw = make_draw_batch(replay)
    states: Tree = None

    def probe(runner: Runner) -> Row:
        nonlocal states
        step = int(runner.step)
        batch = jax.tree.map(np.asarray, draw(jax.random.fold_in(key, step), runner.replay))
        if states is None:
            drawn = jax.tree.map(lambda leaf: leaf[:NUM_STATES], batch.obs)
            kept = read_states(path / STATES, like=to_rows(drawn))
            if kept is None:
                kept = to_rows(drawn)
                write_states(path / STATES, kept)
                fault_point("probe-states-kept")
            states = from_rows(kept, drawn)
        action, q = act_and_value(runner.agent.params, states)
        return probe_row(step, np.asarray(action), np.asarray(q), batch.action)

    return probe


def make_draw_batch(replay: Replay) -> Callable[[Key, ReplayState], Batch]:
    """Build `draw(key, ReplayState) -> Batch`: as many batches, in one, as have `NUM_STATES` rows together."""

    @jax.jit
    def draw(key: Key, state: ReplayState) -> Batch:
        size = jax.eval_shape(replay.sample, key, state).batch.reward.shape[0]
        rounds = -(-NUM_STATES // size)
        if rounds == 1:
            return replay.sample(key, state).batch
        batches = jax.vmap(replay.sample, (0, None))(jax.random.split(key, rounds), state).batch
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batches)

    return draw


def to_rows(states: Tree) -> np.ndarray:
    """States as one array: a Box's as they are, a Dict's as `[P, O]`, in a dtype that holds all of its numbers."""
    if not isinstance(states, dict):
        return states
    leaves = jax.tree.leaves(states)
    # Of NumPy, whose float32 and int32 make float64; JAX's would lose digits.
    dtype = np.result_type(np.float32, *leaves)
    return np.concatenate([leaf.reshape(len(leaf), -1).astype(dtype) for leaf in leaves], axis=1)


def from_rows(rows: np.ndarray, like: Tree) -> Tree:
    """The inverse of `to_rows`, for states of the shapes and dtypes of `like`."""
    if not isinstance(like, dict):
        return rows
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf[0].size for leaf in leaves])
    parts = np.split(rows, ends[:-1], axis=1)
    restored = [part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, restored)


def read_states(path: Path, like: np.ndarray | None = None) -> np.ndarray | None:
    """States that were kept, `[P, ...]`, or None if there is no such file of numbers.

    Args:
        path: of the file.
        like: what shape and dtype they must have; any, where it is not given.
    """
    try:
        # Mapped first: a header that promises more than the file holds is then refused before any of it is allocated.
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    wanted = found.ndim and found.dtype.kind in "biuf" if like is None else same_kind(found, like)
    return np.array(found) if wanted else None


def same_kind(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays have the same shape and dtype."""
    return (one.shape, one.dtype) == (other.shape, other.dtype)


def write_states(path: Path, states: np.ndarray) -> None:
    """Keep states; the file has its name only when it is whole.

    Raises:
        StorageError: if the disk does not take them.
    """
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            np.save(file, states, allow_pickle=False)
        os.replace(partial, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error

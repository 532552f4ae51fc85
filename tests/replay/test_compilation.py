"""No memory is copied in the compiled loop, whatever its size and its options."""

import re

import jax
import jax.numpy as jnp
import pytest
from programs import compile_to_read
from replay_oracle import SPEC

from ddpg_jax.config import ReplayConfig
from ddpg_jax.replay.buffer import make_replay
from ddpg_jax.types import transition_struct

CAPACITY = 1_000_000
ALL = {"sampling": "prioritized", "hindsight": "future", "compact": True, "n_step": 3}


def sample_first(replay, state, transition, key):
    """Add, sample, reprioritise."""
    state = replay.add(state, transition)
    sample = replay.sample(key, state)
    return replay.reprioritize(state, sample.indices, sample.batch.reward), sample


def settle_first(replay, state, transition, key):
    """Reprioritise and add, unless the step failed, then sample, as the loop does."""
    memory, sample = state
    errors = sample.batch.reward

    def proceed():
        return replay.add(memory, transition, sample.indices, errors)

    memory = jax.lax.cond(jnp.isfinite(transition.reward).all(), proceed, lambda: memory)
    sample = jax.lax.cond(memory.size > 0, lambda: replay.sample(key, memory), lambda: sample)
    return (memory, sample), sample


def compiled_scan(step, replay, state, num_envs):
    """The program of a scan over steps, its state donated; nothing is allocated."""

    def body(state, inputs):
        state, sample = step(replay, state, *inputs)
        return state, sum(leaf.sum(dtype=jnp.float32) for leaf in jax.tree.leaves(sample.batch))

    one = transition_struct(SPEC)
    steps = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((9, num_envs, *leaf.shape), leaf.dtype), one)
    scan = jax.jit(lambda state, *inputs: jax.lax.scan(body, state, inputs), donate_argnums=0)
    return compile_to_read(scan, state, steps, jax.random.split(jax.random.key(0), 9))


def elements(shape):
    size = 1
    for length in shape.split(","):
        size *= int(length or 1)
    return size


def check_program(program, state, num_envs):
    copied = re.findall(r"= \w+\[([\d,]*)\]\S* copy\(", program.as_text())
    assert copied, "the pattern finds copies"
    assert max(map(elements, copied)) < CAPACITY // 10
    large = [leaf for leaf in jax.tree.leaves(state) if leaf.size >= CAPACITY // num_envs]
    assert program.memory_analysis().alias_size_in_bytes >= sum(leaf.size * leaf.dtype.itemsize for leaf in large)


@pytest.mark.parametrize(
    ("options", "num_envs"),
    [
        ({}, 1),
        ({"sampling": "prioritized"}, 1),
        ({"hindsight": "future"}, 1),
        ({"compact": True}, 1),
        (ALL, 1),
        (ALL, 4),
    ],
)
def test_nothing_as_large_as_the_memory_is_copied(options, num_envs):
    replay = make_replay(SPEC, ReplayConfig(CAPACITY, 256, **options), num_envs)
    state = jax.eval_shape(replay.init)
    check_program(compiled_scan(sample_first, replay, state, num_envs), state, num_envs)


@pytest.mark.parametrize("options", [{"sampling": "prioritized"}, ALL])
def test_nothing_is_copied_in_the_order_of_the_loop(options):
    replay = make_replay(SPEC, ReplayConfig(CAPACITY, 256, **options))
    memory = jax.eval_shape(replay.init)
    state = memory, jax.eval_shape(replay.sample, jax.random.key(0), memory)
    check_program(compiled_scan(settle_first, replay, state, 1), state, 1)

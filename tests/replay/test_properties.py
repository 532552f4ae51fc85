"""Every kind of memory against plain Python lists: 10,800 operations, in each of the twelve combinations."""

import functools
import itertools

import jax
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from replay_oracle import GAMMA, SPEC, Memory, World

from ddpg_jax.config import ReplayConfig
from ddpg_jax.replay.buffer import make_replay

# (n_step, num_envs, capacity); tiny, so that they wrap. In one the window is longer than the ring.
SHAPES = [(3, 2, 21), (1, 3, 40), (4, 1, 3), (2, 1, 17)]
COMBINATIONS = list(itertools.product(["uniform", "prioritized"], ["none", "final", "future"], [False, True]))
BATCH_SIZE, EXAMPLES, OPERATIONS = 6, 9, 100
ERRORS = np.array([0.0, 0.5, -3.0, 1e3, np.nan, -np.inf, 1e-3])


@functools.cache
def compiled(number):
    """Settings, environments and compiled functions of one combination."""
    sampling, hindsight, compact = COMBINATIONS[number]
    n_step, num_envs, capacity = SHAPES[(number + number // 4) % len(SHAPES)]
    config = ReplayConfig(
        capacity,
        batch_size=min(BATCH_SIZE, capacity),
        discount=GAMMA,
        n_step=n_step,
        sampling=sampling,
        importance_steps=90,
        hindsight=hindsight,
        hindsight_ratio=0.7,
        compact=compact,
    )
    replay = make_replay(SPEC, config, num_envs)
    changes = [jax.jit(change, donate_argnums=0) for change in (replay.add, replay.reprioritize, replay.cut)]
    return config, num_envs, replay.init, jax.jit(replay.sample), *changes


operations = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "sample", "reprioritize", "cut"]), st.integers(0, 2**20)),
    min_size=OPERATIONS,
    max_size=OPERATIONS,
)


@pytest.mark.parametrize("number", range(len(COMBINATIONS)))
@given(operations=operations)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.generate])
def test_every_combination_is_what_plain_lists_give(number, operations):
    config, num_envs, init, sample, add, reprioritize, cut = compiled(number)
    state, memory, world = init(), Memory(config, num_envs), World(num_envs)
    for name, seed in operations:
        rng = np.random.default_rng(seed)
        if name == "cut":
            which = rng.random(num_envs) < 0.4
            state = cut(state, which)
            memory.cut(which)
            world.cut(which & bool(memory.steps))
        elif name == "add" or not memory.steps:
            step = world.step(rng.choice(list("....TCB"), num_envs))
            state = add(state, step)
            memory.add(step)
        else:
            drawn = sample(jax.random.key(seed), state)
            memory.check(drawn)
            if name == "reprioritize":
                indices, errors = np.asarray(drawn.indices), rng.choice(ERRORS, len(drawn.indices))
                state = reprioritize(state, indices, errors.astype(np.float32))
                memory.reprioritize(indices, errors)

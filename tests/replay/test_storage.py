"""The compact storage against the full one, and what it does where a successor is lost."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from replay_oracle import GAMMA, SPEC, Memory, World

from ddpg_jax.config import ReplayConfig
from ddpg_jax.replay.buffer import make_replay
from ddpg_jax.types import EnvSpec


def twins(capacity, num_envs, **settings):
    """The same memory, full and compact."""
    return [
        make_replay(SPEC, ReplayConfig(capacity, 64, GAMMA, compact=compact, **settings), num_envs)
        for compact in (False, True)
    ]


@pytest.mark.parametrize(
    ("n_step", "settings"),
    [(1, {}), (3, {"sampling": "prioritized"}), (2, {"hindsight": "future"}), (9, {"hindsight": "final"})],
)
def test_the_same_key_gives_the_same_batch_from_both(n_step, settings):
    full, compact = twins(192, 3, n_step=n_step, **settings)  # 64 rows, the finals of 9 episodes
    rng, world = np.random.default_rng(n_step), World(3)
    add, cut, sample = (
        [jax.jit(getattr(replay, name)) for replay in (full, compact)] for name in ("add", "cut", "sample")
    )
    states = [full.init(), compact.init()]
    for time in range(150):
        ends = [rng.choice(list("TCB")) if (time + 11 * env) % 17 == 0 else "." for env in range(3)]
        step, which = world.step(ends), rng.random(3) < 0.02
        states = [cut[i](add[i](state, step), which) for i, state in enumerate(states)]
        world.cut(which)
        if time < 5 or time % 10 == 0:
            one, two = (sample[i](jax.random.key(time), state) for i, state in enumerate(states))
            chex.assert_trees_all_equal(one, two)


def test_where_the_successor_is_lost_nothing_wrong_is_learned():
    # Every second step ends an episode: 16 rows hold 8 of them, and the finals are those of 3.
    config = ReplayConfig(16, 16, GAMMA, n_step=2, compact=True)
    replay, memory, world = make_replay(SPEC, config), Memory(config, 1), World(1)
    state, add = replay.init(), jax.jit(replay.add)
    for time in range(16):
        step = world.step(".C.T"[time % 4])
        state = add(state, step)
        memory.add(step)
    sample = jax.jit(replay.sample)(jax.random.key(0), state)
    memory.check(sample)
    lost = np.array([memory.lost(index | 1, 0) and (index | 1) % 4 == 1 for index in sample.indices.tolist()])
    assert lost.any()
    assert not lost.all()
    np.testing.assert_array_equal(sample.batch.weight, ~lost)
    assert (np.asarray(sample.batch.discount)[lost] == 0).all()


def test_without_a_bootstrap_a_lost_successor_is_not_needed():
    config = ReplayConfig(16, 16, 0.0, compact=True)
    replay, world = make_replay(SPEC, config), World(1)
    state, add = replay.init(), jax.jit(replay.add)
    for _ in range(16):
        state = add(state, world.step("C"))
    assert (jax.jit(replay.sample)(jax.random.key(0), state).batch.weight == 1).all()


def test_a_cut_leaves_the_successor_of_the_newest_step():
    replay = make_replay(SPEC, ReplayConfig(8, 8, GAMMA, compact=True), 2)
    world = World(2)
    step = world.step("..")
    add = jax.jit(replay.add)
    state = jax.jit(replay.cut)(add(replay.init(), step), jnp.array([True, False]))
    world.cut([True, False])
    state = add(state, world.step(".."))
    sample = jax.jit(replay.sample)(jax.random.key(1), state)
    first = np.asarray(sample.indices) < 2
    assert set(np.asarray(sample.indices)[first].tolist()) == {0, 1}
    np.testing.assert_array_equal(
        np.asarray(sample.batch.next_obs["observation"])[first, 0],
        step.next_obs["observation"][np.asarray(sample.indices)[first], 0],
    )


def test_a_cut_of_an_empty_memory_changes_nothing():
    settings = {"compact": True, "hindsight": "future", "sampling": "prioritized"}
    replay = make_replay(SPEC, ReplayConfig(8, 8, GAMMA, **settings), 2)
    chex.assert_trees_all_equal(jax.jit(replay.cut)(replay.init(), np.ones(2, bool)), replay.init())


def test_images_take_about_half_the_bytes_and_stay_bytes():
    images = EnvSpec(jax.ShapeDtypeStruct((84, 84, 3), jnp.uint8), -np.ones(1), np.ones(1))
    full, compact = (make_replay(images, ReplayConfig(100_000, compact=compact)).num_bytes for compact in (False, True))
    assert 0.5 < compact / full < 0.57
    replay = make_replay(images, ReplayConfig(16, 4, compact=True))
    assert {dtype: rows.shape for dtype, rows in replay.init().rows.items()} == {
        "uint8": (16, 1, 84 * 84 * 3),
        "float32": (16, 1, 4),
        "int32": (16, 1, 1),
    }


@pytest.mark.parametrize(
    "settings", [{}, {"compact": True}, {"compact": True, "sampling": "prioritized", "hindsight": "final"}]
)
def test_num_bytes_is_what_init_allocates(settings):
    replay = make_replay(SPEC, ReplayConfig(101, 1, **settings), num_envs=2)
    assert replay.num_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(replay.init()))


def test_every_option_works_where_jax_has_64_bits():
    settings = {"compact": True, "sampling": "prioritized", "hindsight": "future", "n_step": 3}
    with jax.enable_x64(True):
        replay, world = make_replay(SPEC, ReplayConfig(64, 8, GAMMA, **settings), 2), World(2)
        state, add = replay.init(), jax.jit(replay.add)
        types = jax.tree.map(lambda leaf: leaf.dtype, state)
        for _ in range(5):
            state = add(state, jax.tree.map(jnp.asarray, world.step("..")))
        sample = jax.jit(replay.sample)(jax.random.key(0), state)
        state = jax.jit(replay.reprioritize)(state, sample.indices, sample.batch.reward)
    assert jax.tree.map(lambda leaf: leaf.dtype, state) == types
    assert sample.batch.reward.dtype == sample.batch.discount.dtype == sample.batch.weight.dtype == np.float64
    assert sample.batch.obs["achieved_goal"].dtype == np.float32

"""The compact storage against the full one, and what it does where a successor is lost."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from replay_oracle import GAMMA, SPEC, Memory, World

from ddpg_jax.config import ConfigError, ReplayConfig
from ddpg_jax.replay.buffer import make_replay
from ddpg_jax.types import EnvSpec


def without_unread(sample, hindsight):
    """A sample without the successors of rows that are not bootstrapped, unless other goals are asked for."""
    read = np.asarray(sample.batch.discount != 0) | hindsight
    after = jax.tree.map(lambda leaf: leaf[read], sample.batch.next_obs)
    return sample._replace(batch=sample.batch._replace(next_obs=after))


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
    full, compact = twins(336, 3, n_step=n_step, **settings)  # 112 rows, the finals of 9 episodes
    rng, world = np.random.default_rng(n_step), World(3)
    add, cut, sample = (
        [jax.jit(getattr(replay, name)) for replay in (full, compact)] for name in ("add", "cut", "sample")
    )
    states = [full.init(), compact.init()]
    for time in range(150):
        ends = [rng.choice(list("TCB")) if (time + 11 * env) % 23 == 0 else "." for env in range(3)]
        step, which = world.step(ends), rng.random(3) < 0.01
        states = [cut[i](add[i](state, step), which) for i, state in enumerate(states)]
        world.cut(which)
        if time < 5 or time % 10 == 0:
            one, two = (sample[i](jax.random.key(time), state) for i, state in enumerate(states))
            chex.assert_trees_all_equal(*(without_unread(sample, "hindsight" in settings) for sample in (one, two)))


def filled(config, pattern, num_steps):
    """A memory after steps whose ends repeat a pattern, and its double in Python."""
    replay, memory, world = make_replay(SPEC, config), Memory(config, 1), World(1)
    state, add = replay.init(), jax.jit(replay.add)
    for time in range(num_steps):
        step = world.step(pattern[time % len(pattern)])
        state = add(state, step)
        memory.add(step)
    return replay, state, memory


def test_where_the_successor_is_lost_nothing_wrong_is_learned():
    # Of 16 rows four are cut, and the finals are those of the last of them and of the running episode.
    replay, state, memory = filled(ReplayConfig(16, 16, GAMMA, n_step=2, compact=True), ".C.T", 16)
    weights, discounts = {}, {}
    for seed in range(30):
        sample = jax.jit(replay.sample)(jax.random.key(seed), state)
        memory.check(sample)
        indices = sample.indices.tolist()
        weights |= dict(zip(indices, sample.batch.weight.tolist(), strict=True))
        discounts |= dict(zip(indices, sample.batch.discount.tolist(), strict=True))
    assert [weights[row] for row in range(16)] == [1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    # Windows of two steps, which end before a lost step.
    half, quarter = GAMMA, GAMMA**2
    expected = [half, 0, 0, 0, half, 0, 0, 0, half, 0, 0, 0, quarter, half, 0, 0]
    assert [discounts[row] for row in range(16)] == expected


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


@functools.cache
def compiled(config):
    """A memory's `init`, `add` and 20 batches at once."""
    replay = make_replay(SPEC, config)
    many = jax.vmap(replay.sample, (0, None))
    return replay.init, jax.jit(replay.add), jax.jit(lambda state: many(jax.random.split(jax.random.key(0), 20), state))


def rows_lost(config, pattern):
    """Rows of a memory from which nothing is learned, after as many steps as it has rows."""
    init, add, sample = compiled(config)
    state, world = init(), World(1)
    for time in range(config.capacity):
        state = add(state, world.step(pattern[time % len(pattern)]))
    indices, weight = (np.asarray(leaf).ravel() for leaf in (sample(state).indices, sample(state).batch.weight))
    assert len(set(indices.tolist())) == config.capacity, "every row was drawn"
    return len(set(indices[weight == 0].tolist()))


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize(
    ("pattern", "lost"),
    [
        # 280 rows, and the finals of 21 episodes.
        ("C", 280 - 21),
        (".C", 140 - 21),
        ("....C", 56 - 21),
        ("......C", 40 - 21),
        (13 * "." + "C", 0),
        # Where the task ended, no successor is needed.
        ("T", 0),
        ("..T", 0),
        ("TT.TTT.TTT.TT" + "C", 0),
    ],
)
def test_how_many_rows_are_lost(pattern, lost, n_step):
    assert rows_lost(ReplayConfig(280, 280, GAMMA, n_step=n_step, compact=True), pattern) == lost


@pytest.mark.parametrize(
    ("length", "settings"),
    [(1, {}), (2, {"n_step": 3}), (7, {}), (7, {"n_step": 3, "hindsight": "future"})],
)
def test_prioritised_drawing_leaves_lost_rows_alone(length, settings):
    config = ReplayConfig(256, 32, GAMMA, compact=True, sampling="prioritized", **settings)
    replay, world = make_replay(SPEC, config), World(1)
    steps = [world.step("C" if time % length == length - 1 else ".") for time in range(768)]

    def advance(carry, inputs):
        (state, *learned), (key, step) = carry, inputs
        state = replay.add(state, step, *learned)
        batch, indices = replay.sample(key, state)
        lost = batch.weight == 0
        # What is not bootstrapped is far from the critic.
        return (state, indices, jnp.where(lost, 10.0, 0.1)), (lost.mean(), batch.weight.max())

    begin = replay.init(), jnp.zeros(32, jnp.int32), jnp.zeros(32)
    inputs = jax.random.split(jax.random.key(0), len(steps)), jax.tree.map(lambda *leaves: np.stack(leaves), *steps)
    _, (wasted, heaviest) = jax.jit(lambda *args: jax.lax.scan(advance, *args))(begin, inputs)
    assert wasted[256:].mean() < 0.04, "each once"
    np.testing.assert_array_equal(heaviest, 1)


def test_a_task_that_ends_keeps_what_other_goals_need():
    config = ReplayConfig(28, 28, GAMMA, compact=True, hindsight="final", hindsight_ratio=1.0)
    replay, state, memory = filled(config, "..T", 28)
    sample = jax.jit(replay.sample)(jax.random.key(0), state)
    assert memory.check(sample) > 0
    assert (sample.batch.weight == 1).all()


def test_numbers_begin_again_where_int32_ends():
    config = ReplayConfig(28, 28, GAMMA, compact=True)
    replay, world = make_replay(SPEC, config), World(1)
    add, memory, state = jax.jit(replay.add), Memory(config, 1), replay.init()
    # Two steps before the last number; the finals are those of 3 episodes, and 2^29 = 3 * 178956970 + 2.
    state = state._replace(finals=state.finals._replace(number=jnp.array([2**29 - 2 - 3], jnp.int32)))
    for time in range(60):
        step = world.step("..C"[time % 3])
        state = add(state, step)
        memory.add(step)
        memory.check(jax.jit(replay.sample)(jax.random.key(time), state))
    assert int(state.finals.number[0]) == 60 // 3 - 1 - 3


ROBOTS = {"Pendulum": (3, 1, 0.63), "HalfCheetah": (17, 6, 0.62), "Humanoid": (348, 17, 0.55)}


@pytest.mark.parametrize("name", ROBOTS)
def test_the_bytes_of_a_row_are_those_of_the_formula(name):
    obs, action, most = ROBOTS[name]
    spec = EnvSpec(jax.ShapeDtypeStruct((obs,), jnp.float32), -np.ones(action), np.ones(action))
    full, compact = (make_replay(spec, ReplayConfig(1_000_000, compact=compact)).num_bytes for compact in (False, True))
    assert full / 1e6 == pytest.approx(2 * 4 * obs + 4 * (action + 3), rel=1e-4)
    assert compact / 1e6 == pytest.approx(4 * obs + 4 * (action + 2) + 4 * obs / 14, rel=1e-4)
    assert compact / full <= most


def test_a_ring_with_more_rows_than_numbers_is_refused():
    with pytest.raises(
        ConfigError, match=r"compact = True keeps fewer than 460175070 steps of an environment, not 2147483647"
    ):
        make_replay(SPEC, ReplayConfig(2**31 - 1, 1, compact=True))


def test_images_take_about_half_the_bytes_and_stay_bytes():
    images = EnvSpec(jax.ShapeDtypeStruct((84, 84, 3), jnp.uint8), -np.ones(1), np.ones(1))
    full, compact = (make_replay(images, ReplayConfig(100_000, compact=compact)).num_bytes for compact in (False, True))
    assert 0.5 < compact / full < 0.54
    replay = make_replay(images, ReplayConfig(16, 4, compact=True))
    assert {dtype: rows.shape for dtype, rows in replay.init().rows.items()} == {
        "uint8": (16, 1, 84 * 84 * 3),
        "float32": (16, 1, 2),
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

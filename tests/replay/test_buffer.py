"""The ring, and what is drawn from it, against a plain Python list."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import compile_to_read

from ddpg_jax.config import ConfigError, ReplayConfig
from ddpg_jax.replay.buffer import make_replay
from ddpg_jax.replay.ring import later_rows, newest_row, steps_to_head
from ddpg_jax.types import EnvSpec, Transition

SPEC = EnvSpec(jax.ShapeDtypeStruct((1,), jnp.float32), -np.ones(1), np.ones(1))
GAMMA = 0.5  # powers and sums of eighths are exact in float32


def step_at(time, num_envs=1, ends=None):
    """Step `time` of every environment; observations tell time and environment, successors end in .5."""
    obs = 10.0 * time + np.arange(num_envs, dtype=np.float32)[:, None]
    ends = ends or "." * num_envs
    return Transition(
        obs=obs,
        action=obs / 1000,
        reward=(obs[:, 0] % 37) / 8,
        terminated=np.array([end in "TB" for end in ends]),
        truncated=np.array([end in "CB" for end in ends]),
        next_obs=obs + np.float32(0.5),
    )


def oracle_fold(steps, start, env, n_step):
    """The transition that n steps from `start` fold to: reward, discount, next_obs."""
    reward, discount = 0.0, 1.0
    for step in steps[start : start + n_step]:
        reward += discount * step.reward[env]
        discount *= GAMMA
        next_obs = step.next_obs[env, 0]
        if step.terminated[env]:
            return reward, 0.0, next_obs
        if step.truncated[env]:
            break
    return reward, discount, next_obs


def filled(replay, num_steps, num_envs=1):
    state, add = replay.init(), jax.jit(replay.add)
    for time in range(num_steps):
        state = add(state, step_at(time, num_envs))
    return state


def stored_times(state):
    """The time of each filled row of environment 0; `obs` is the row's first column."""
    return (np.asarray(state.rows["float32"])[: int(state.size), 0, 0] / 10).tolist()


@functools.cache
def compiled_replay(n_step, num_envs, capacity):
    """The memory's `init`, `add`, `sample` and `cut`."""
    config = ReplayConfig(capacity, batch_size=min(capacity, 20), discount=GAMMA, n_step=n_step)
    replay = make_replay(SPEC, config, num_envs)
    return (
        replay.init,
        jax.jit(replay.add, donate_argnums=0),
        jax.jit(replay.sample),
        jax.jit(replay.cut, donate_argnums=0),
    )


# (n_step, num_envs, capacity); a few, so that each compiles once. In some the window is longer than the ring.
SHAPES = [(1, 1, 7), (2, 3, 32), (3, 2, 20), (4, 1, 3), (4, 3, 40)]


def check_rows(sample, steps, n_step, num_envs, capacity):
    """Compare every row of a batch with what the list of all steps so far gives."""
    batch, indices = jax.device_get(sample)
    length = capacity // num_envs
    time_in_row = {kept % length: kept for kept in range(max(0, len(steps) - length), len(steps))}
    for index, *row in zip(indices, *map(np.ravel, batch), strict=True):
        start, env = time_in_row[index // num_envs], index % num_envs
        reward, discount, next_obs = oracle_fold(steps, start, env, n_step)
        first = steps[start]
        assert row == [first.obs[env, 0], first.action[env, 0], reward, discount, next_obs, 1.0]


@given(shape=st.sampled_from(SHAPES), pattern=st.text("....TCB", min_size=1, max_size=30))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_every_sampled_row_is_the_one_a_plain_list_gives(shape, pattern):
    _, num_envs, capacity = shape
    length = capacity // num_envs
    init, add, sample, _ = compiled_replay(*shape)
    state, steps = init(), []
    for time in range(300):
        ends = "".join(pattern[(time + 7 * env) % len(pattern)] for env in range(num_envs))
        steps.append(step_at(time, num_envs, ends))
        state = add(state, steps[-1])
        if length < time and time % 11:
            continue
        check_rows(sample(jax.random.key(time), state), steps, *shape)


@given(
    shape=st.sampled_from([(3, 1, 7), (3, 3, 40), (4, 1, 3)]),
    ends=st.text("....TCB", min_size=1, max_size=30),
    cuts=st.text("...|", min_size=1, max_size=30),
)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_no_window_crosses_a_cut(shape, ends, cuts):
    _, num_envs, _ = shape
    init, add, sample, cut = compiled_replay(*shape)
    state, steps = init(), []
    for time in range(100):
        steps.append(step_at(time, num_envs, "".join(ends[(time + 7 * env) % len(ends)] for env in range(num_envs))))
        which = np.array([cuts[(time + 5 * env) % len(cuts)] == "|" for env in range(num_envs)])
        state = cut(add(state, steps[-1]), which)
        steps[-1] = steps[-1]._replace(truncated=steps[-1].truncated | which)
        check_rows(sample(jax.random.key(time), state), steps, *shape)


def test_steps_are_kept_in_order_and_the_oldest_is_overwritten():
    replay = make_replay(SPEC, ReplayConfig(capacity=4, batch_size=1))
    assert stored_times(filled(replay, 3)) == [0, 1, 2]
    assert stored_times(filled(replay, 4)) == [0, 1, 2, 3]
    state = filled(replay, 6)
    assert stored_times(state) == [4, 5, 2, 3]
    assert (int(state.head), int(state.size)) == (2, 4)


def test_only_rows_that_were_filled_are_drawn():
    replay = make_replay(SPEC, ReplayConfig(capacity=1000, batch_size=512), num_envs=2)
    sample = jax.jit(replay.sample)(jax.random.key(0), filled(replay, 3, num_envs=2))
    assert set(np.asarray(sample.indices).tolist()) == {0, 1, 2, 3, 4, 5}
    assert set(np.asarray(sample.batch.obs).ravel().tolist()) == {0, 1, 10, 11, 20, 21}


@pytest.mark.parametrize("num_steps", [25, 37])
def test_every_row_is_drawn_equally_often(num_steps):
    replay = make_replay(SPEC, ReplayConfig(capacity=50, batch_size=50), num_envs=2)
    state = filled(replay, num_steps, num_envs=2)
    keys = jax.random.split(jax.random.key(1), 1000)
    indices = jax.jit(jax.vmap(lambda key: replay.sample(key, state).indices))(keys)
    counts = np.bincount(np.asarray(indices).ravel(), minlength=50)
    chi_square = np.sum((counts - 1000) ** 2 / 1000)
    assert counts.size == 50
    assert 23.98 < chi_square < 85.35  # 99.8 % of the distribution with 49 degrees of freedom


def test_another_key_draws_other_rows_and_the_same_key_the_same():
    replay = make_replay(SPEC, ReplayConfig(capacity=50, batch_size=16))
    state, sample = filled(replay, 50), jax.jit(replay.sample)
    one, again, two = (sample(jax.random.key(seed), state).indices.tolist() for seed in (0, 0, 1))
    assert one == again != two


def test_a_donated_add_writes_in_place():
    replay = make_replay(SPEC, ReplayConfig(capacity=50, batch_size=1))
    add, state = jax.jit(replay.add, donate_argnums=0), replay.init()
    pointer = state.rows["float32"].unsafe_buffer_pointer()
    for time in range(3):
        state = add(state, step_at(time))
        assert state.rows["float32"].unsafe_buffer_pointer() == pointer


def test_a_cut_marks_the_newest_step_and_leaves_every_other_bit():
    spec = SPEC._replace(obs=jax.ShapeDtypeStruct((2,), jnp.uint8))
    replay = make_replay(spec, ReplayConfig(capacity=9, batch_size=1), num_envs=3)
    state, add = replay.init(), jax.jit(replay.add)
    for time in range(4):  # the newest step lies in the first row
        image = np.full((3, 2), 50 + time, np.uint8)
        state = add(state, step_at(time, 3, ".T.")._replace(obs=image, next_obs=image + 100))
    after = jax.jit(replay.cut)(state, np.array([True, True, False]))
    expected = np.array(state.rows["float32"])
    flags = expected[0, :, -2:]  # terminated, truncated
    assert flags.tolist() == [[0, 0], [1, 0], [0, 0]]
    flags[:2, 1] = 1
    np.testing.assert_array_equal(after.rows["float32"], expected)
    np.testing.assert_array_equal(after.rows["uint8"], state.rows["uint8"])
    assert (int(after.head), int(after.size)) == (int(state.head), int(state.size))


def test_a_cut_of_an_empty_memory_changes_nothing():
    replay = make_replay(SPEC, ReplayConfig(capacity=6, batch_size=1), num_envs=2)
    chex.assert_trees_all_equal(replay.cut(replay.init(), np.ones(2, bool)), replay.init())


def test_a_donated_cut_writes_in_place():
    replay = make_replay(SPEC, ReplayConfig(capacity=1_000_000, batch_size=1))
    cut, state = jax.jit(replay.cut, donate_argnums=0), filled(replay, 2)
    pointer, rows = state.rows["float32"].unsafe_buffer_pointer(), r"f32\[1000000,1,\d+\]"
    text = compile_to_read(cut, state, np.ones(1, bool)).as_text()
    assert re.search(rows, text)
    assert not re.findall(rf"= {rows}\S* copy\(.*", text)
    assert cut(state, np.ones(1, bool)).rows["float32"].unsafe_buffer_pointer() == pointer


@pytest.mark.parametrize("length", [1, 3, 2**30 + 7, 2**31 - 1])
def test_rows_are_counted_without_leaving_int32(length):
    rng = np.random.default_rng(0)
    row, head, steps = (rng.integers(0, length, 200) for _ in range(3))
    row[:4], head[:4], steps[:4] = (0, length - 1, length - 1, 0), (0, 0, length - 1, length - 1), 5
    short = [np.asarray(value, np.int32) for value in (row, head, steps, length)]
    np.testing.assert_array_equal(later_rows(short[0], short[2], short[3]), (row + steps) % length)
    np.testing.assert_array_equal(steps_to_head(short[0], short[1], short[3]), (head - 1 - row) % length + 1)
    np.testing.assert_array_equal(newest_row(short[1], short[3]), (head - 1) % length)


def test_num_bytes_is_what_init_allocates():
    spec = SPEC._replace(obs=jax.ShapeDtypeStruct((8, 8, 3), jnp.uint8))
    replay = make_replay(spec, ReplayConfig(capacity=101, batch_size=1), num_envs=2)
    assert replay.num_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(replay.init()))
    # 50 rows of 2 environments: two images of bytes; action, reward and two flags of floats; and head and size
    assert replay.num_bytes == 100 * (2 * 192 + 4 * 4) + 8


def test_capacity_is_rounded_down_to_whole_steps_of_all_environments():
    replay = make_replay(SPEC, ReplayConfig(capacity=11, batch_size=1), num_envs=3)
    assert replay.init().rows["float32"].shape[:2] == (3, 3)


def test_bytes_and_dict_observations_come_back_as_they_went_in():
    structs = {"image": jax.ShapeDtypeStruct((4, 4), jnp.uint8), "goal": jax.ShapeDtypeStruct((2,), jnp.float32)}
    replay = make_replay(SPEC._replace(obs=structs), ReplayConfig(capacity=8, batch_size=4, n_step=2), num_envs=2)
    obs = {"image": jnp.arange(32, dtype=jnp.uint8).reshape(2, 4, 4), "goal": jnp.array([[1.0, 2.0], [3.0, 4.0]])}
    state = jax.jit(replay.add)(replay.init(), step_at(0, 2)._replace(obs=obs, next_obs=obs))
    sample = jax.jit(replay.sample)(jax.random.key(0), state)
    for name, leaf in obs.items():
        assert sample.batch.obs[name].dtype == leaf.dtype
        np.testing.assert_array_equal(sample.batch.obs[name], leaf[sample.indices])
        np.testing.assert_array_equal(sample.batch.next_obs[name], leaf[sample.indices])


def test_the_memory_works_where_jax_has_64_bits():
    with jax.enable_x64(True):
        replay = make_replay(SPEC, ReplayConfig(capacity=10, batch_size=4, n_step=2), num_envs=2)
        state = filled(replay, 7, num_envs=2)
        sample = jax.jit(replay.sample)(jax.random.key(0), state)
    assert (state.head.dtype, state.size.dtype, sample.indices.dtype) == (jnp.int32, jnp.int32, jnp.int32)
    assert sample.batch.reward.dtype == sample.batch.discount.dtype == sample.batch.weight.dtype == np.float64


def test_a_uniform_memory_has_no_priorities_to_change():
    replay = make_replay(SPEC, ReplayConfig(capacity=8, batch_size=1))
    state = filled(replay, 2)
    assert replay.reprioritize(state, jnp.array([0]), jnp.array([1.0])) == state


@pytest.mark.parametrize("compact", [False, True])
def test_no_rows_can_be_given_other_priorities(compact):
    replay = make_replay(SPEC, ReplayConfig(capacity=8, batch_size=1, sampling="prioritized", compact=compact))
    state, none = filled(replay, 2), (jnp.zeros(0, jnp.int32), jnp.zeros(0))
    chex.assert_trees_all_equal(replay.reprioritize(state, *none), state)
    chex.assert_trees_all_equal(replay.add(state, step_at(2), *none), replay.add(state, step_at(2)))


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(ConfigError, match="n_step = 0 must be >= 1"):
        make_replay(SPEC, ReplayConfig(n_step=0))
    with pytest.raises(ConfigError, match=r"num_envs = 9 must be in \[1, capacity = 8\]"):
        make_replay(SPEC, ReplayConfig(capacity=8, batch_size=1), num_envs=9)

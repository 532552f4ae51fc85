"""The moves of learning, each by itself; the loop's tests hold them together."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import probe

from ddpg_jax import DDPGConfig, ReplayConfig, Transition
from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.normalization import REWARD
from ddpg_jax.agent.state import UpdateInfo
from ddpg_jax.replay.buffer import make_replay
from ddpg_jax.training.learner import idle_learner, make_learner

NUM_UPDATES, BATCH_SIZE, NUM_ENVS, STORED = 3, 4, 2, 5
SPEC = probe(lambda obs, action: action)().spec
# Two updates in three without an actor's turn: its figures are nan there.
AGENT = ddpg(SPEC, DDPGConfig(hidden_sizes=(8,), normalization="none", num_critics=2, policy_delay=2, target_noise=0.2))
REPLAY = make_replay(SPEC, ReplayConfig(capacity=16, batch_size=BATCH_SIZE), NUM_ENVS)
LEARNER = make_learner(AGENT, REPLAY, NUM_UPDATES)
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def memory():
    """Five steps of two environments; observation and reward name the row they are stored in, from 1."""
    state = REPLAY.init()
    for step in range(STORED):
        name = 1.0 + NUM_ENVS * step + jnp.arange(NUM_ENVS)
        ends = jnp.zeros(NUM_ENVS, bool)
        transition = Transition(name[:, None], jnp.sin(name)[:, None], name, ends, ends, name[:, None] + 0.5)
        state = REPLAY.add(state, transition)
    return state


@pytest.fixture(scope="module")
def learned(memory):
    """An agent's state, the batches, and what one call of `update` made of them."""
    start = jax.jit(AGENT.init)(jax.random.key(0))
    samples = jax.jit(LEARNER.draw)(KEY, memory, start)
    return start, samples, jax.jit(LEARNER.update)(KEY, start, samples)


def test_batches_are_drawn_for_every_update_and_from_stored_rows_only(memory, learned):
    draw, drawn = jax.jit(LEARNER.draw), []
    for key in jax.random.split(KEY, 20):
        samples = draw(key, memory, learned[0])
        chex.assert_tree_shape_prefix(samples, (NUM_UPDATES, BATCH_SIZE))
        rows = np.asarray(samples.indices)
        np.testing.assert_array_equal(samples.batch.reward, 1 + rows)
        np.testing.assert_array_equal(samples.batch.obs[..., 0], 1 + rows)
        np.testing.assert_array_equal(samples.batch.next_obs[..., 0], 1.5 + rows)
        assert len({tuple(row) for row in rows.tolist()}) == NUM_UPDATES, "each update has a batch of its own"
        drawn.append(rows)
    assert np.unique(drawn).tolist() == list(range(NUM_ENVS * STORED))


def test_an_empty_memory_gives_batches_of_zeros(memory, learned):
    full, empty = (jax.jit(LEARNER.draw)(KEY, rows, learned[0]) for rows in (memory, REPLAY.init()))
    chex.assert_trees_all_equal(empty, jax.tree.map(jnp.zeros_like, full))


def test_one_call_makes_the_updates_of_as_many_single_ones(learned):
    start, samples, (state, infos) = learned
    assert int(state.step) == NUM_UPDATES
    update, single, single_infos = jax.jit(AGENT.update), start, []
    for index, key in enumerate(jax.random.split(KEY, NUM_UPDATES)):
        single, info = update(key, single, jax.tree.map(lambda leaf: leaf[index], samples.batch))
        single_infos.append(info)
    chex.assert_trees_all_close(state, single, rtol=1e-6, atol=1e-7)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *single_infos)
    chex.assert_trees_all_close(infos, stacked, rtol=1e-6, atol=1e-7)
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), start.params, state.params)
    assert min(jax.tree.leaves(moved)) > 1e-5


def test_the_memory_is_told_the_error_of_every_row_drawn(memory, learned):
    calls = []

    def record(state, transition, indices, td_error):
        calls.append((transition, indices, td_error))
        return state._replace(head=state.head + 100)

    _, samples, (_, infos) = learned
    learner = make_learner(AGENT, REPLAY._replace(add=record), NUM_UPDATES)
    state = learner.store(memory, "a step", samples, infos)
    ((transition, indices, td_error),) = calls
    assert transition == "a step"
    assert indices.tolist() == [row for update in samples.indices.tolist() for row in update]
    assert td_error.tolist() == [error for update in infos.td_error.tolist() for error in update]
    chex.assert_trees_all_equal(state, memory._replace(head=memory.head + 100))


def test_the_report_is_the_mean_over_the_updates_that_have_the_figure(learned):
    _, _, (_, infos) = learned
    report = LEARNER.report(infos)
    assert np.isnan(infos.actor_loss).tolist() == [True, False, True]
    for name, value in zip(UpdateInfo._fields, report, strict=True):
        figures = [figure for figure in np.ravel(getattr(infos, name)).tolist() if not np.isnan(figure)]
        np.testing.assert_allclose(value, np.mean(figures), rtol=1e-6, err_msg=name)
        assert value.shape == ()


def test_an_idle_learner_only_stores_and_reports_nan(memory, learned):
    start, idle = learned[0], idle_learner(REPLAY._replace(add=lambda state, step: (state, step)))
    samples = idle.draw(KEY, memory, start)
    state, infos = idle.update(KEY, start, samples)
    chex.assert_trees_all_equal(state, start)
    assert idle.store(memory, "a step", samples, infos) == (memory, "a step")
    report = idle.report(infos)
    assert np.isnan(report).all()
    chex.assert_trees_all_equal_shapes_and_dtypes(report, LEARNER.report(learned[2][1]))


def test_each_reward_is_clipped_before_it_is_folded():
    """A deviation of 2, rewards of 6 (3 deviations), and one of 100 that counts as 10 deviations; gamma 0.99, n = 5."""
    agent = ddpg(SPEC, DDPGConfig(hidden_sizes=(4,), normalize_reward=True, normalize_obs=True))
    state = agent.init(KEY)
    critic = dict(state.params.critic)
    moments = critic[REWARD].moments._replace(number=jnp.uint32(9), mean=jnp.float32(1), deviation=jnp.float32(2))
    critic[REWARD] = critic[REWARD]._replace(moments=moments)
    state = state._replace(params=state.params._replace(critic=critic))
    replay = make_replay(SPEC, ReplayConfig(capacity=64, batch_size=64, n_step=5))
    memory, row, no = replay.init(), jnp.ones((1, 1)), jnp.zeros(1, bool)
    for reward in (6, 6, 6, 6, 6, 6, -100, 6, 6, 6):
        ended = memory.head % 5 == jnp.array([4])
        memory = replay.add(memory, Transition(row, row, jnp.array([float(reward)]), ended, no, row))
    learner = make_learner(agent, replay)
    samples = jax.jit(learner.draw)(KEY, memory, state)
    _, info = jax.jit(learner.update)(KEY, state, samples)
    found = {int(i): float(r) / 2 for i, r in zip(samples.indices.ravel(), samples.batch.reward.ravel(), strict=True)}
    powers = 0.99 ** np.arange(5)
    np.testing.assert_allclose(found[0], 3 * powers.sum(), rtol=1e-6)
    assert round(found[0], 1) == 14.7
    np.testing.assert_allclose(found[5], 3 * powers.sum() - 13 * 0.99, rtol=1e-5)
    np.testing.assert_allclose(info.target, 2 * np.mean([found[int(i)] for i in samples.indices.ravel()]), rtol=1e-5)
    plain = make_learner(ddpg(SPEC, DDPGConfig(hidden_sizes=(4,))), replay).draw(KEY, memory, state)
    assert float(plain.batch.reward.min()) < -60

"""Demonstrations in the memory: what is drawn of them, and that nothing crosses from them into the run."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import probe

from ddpg_jax import Config, DDPGConfig, ReplayConfig, TrainConfig, make_demonstrations, make_trainer
from ddpg_jax.agent.normalization import OBS, REWARD

NUM_ENVS, STEPS = 2, 40
WORLD = probe(lambda obs, action: action, length=7, obs=lambda time, sign: time)(NUM_ENVS)
CONFIG = Config(
    agent=DDPGConfig(hidden_sizes=(8,), normalization="none", normalize_obs=True, normalize_reward=True),
    replay=ReplayConfig(capacity=100, batch_size=64, n_step=3, discount=0.5),
    train=TrainConfig(start_steps=0, update_after=1, log_every=20),
)
KINDS = [{}, {"sampling": "prioritized", "compact": True}]


def recorded():
    """One long walk 100, 101, ..., its reward the number of the step."""
    obs = 100 + np.arange(STEPS, dtype=np.float32)[:, None]
    never = np.zeros(STEPS, bool)
    arrays = {"obs": obs, "next_obs": obs + 1, "action": np.full((STEPS, 1), 0.25), "reward": np.arange(STEPS) / 1}
    return make_demonstrations({**arrays, "terminated": never, "truncated": never}, WORLD.spec)


@pytest.fixture(scope="module", params=KINDS, ids=["plain", "prioritized, compact"])
def begun(request):
    config = dataclasses.replace(CONFIG, replay=dataclasses.replace(CONFIG.replay, **request.param))
    trainer = make_trainer(WORLD, config)
    return trainer, trainer.prefill(trainer.init(jax.random.key(0)), recorded())


def drawn(trainer, memory):
    return jax.tree.map(np.asarray, jax.jit(trainer.replay.sample)(jax.random.key(3), memory).batch)


def test_windows_stay_in_their_column(begun):
    trainer, runner = begun
    assert int(runner.step) == 0
    assert int(runner.replay.size) == STEPS // NUM_ENVS
    batch = drawn(trainer, runner.replay)
    number = batch.obs[:, 0] - 100
    left = np.minimum(3, STEPS // NUM_ENVS - number % (STEPS // NUM_ENVS))
    np.testing.assert_array_equal(batch.next_obs[:, 0], batch.obs[:, 0] + left)
    np.testing.assert_array_equal(batch.discount, 0.5**left)
    np.testing.assert_allclose(batch.reward, sum(0.5**k * (number + k) * (k < left) for k in range(3)))
    assert set(number // (STEPS // NUM_ENVS)) == {0, 1}


def test_the_run_goes_on_behind_them_and_learns_from_its_first_step(begun):
    trainer, runner = begun
    runner, _ = trainer.run(jax.random.key(1), jax.tree.map(jnp.array, runner), 2)
    assert int(runner.agent.step) == 0
    runner, metrics = trainer.run(jax.random.key(1), runner, 10)
    assert int(runner.step) == 12
    assert int(runner.agent.step) == 5
    assert np.isfinite(np.asarray(metrics.update.critic_loss)[:5]).all()
    batch = drawn(trainer, runner.replay)
    shown = batch.obs[:, 0] >= 100
    assert shown.any()
    assert not shown.all()
    assert (batch.next_obs[shown, 0] > 100).all()
    assert (batch.next_obs[~shown, 0] <= 7).all()


def test_running_statistics_have_seen_them(begun):
    params = begun[1].agent.params
    (moments,) = params.actor[OBS]
    assert (float(moments.number), float(moments.mean[0])) == (STEPS, 119.5)
    returns, moments = params.critic[REWARD]
    assert float(moments.number) == STEPS
    np.testing.assert_array_equal(returns, 0, "what comes next is another episode")


def test_they_may_fill_the_memory_to_the_last_row():
    config = dataclasses.replace(CONFIG, replay=dataclasses.replace(CONFIG.replay, capacity=STEPS, batch_size=8))
    trainer = make_trainer(WORLD, config)
    memory = trainer.prefill(trainer.init(jax.random.key(0)), recorded()).replay
    assert (int(memory.size), int(memory.head)) == (STEPS // NUM_ENVS, 0)
    batch = drawn(trainer, memory)
    assert (batch.next_obs[:, 0] <= np.where(batch.obs[:, 0] < 120, 120, 140)).all()


@pytest.fixture(scope="module", params=KINDS, ids=["plain", "prioritized, compact"])
def stepped(request):
    """A runner in mid-episode, and the same with a demonstration for each environment, as NumPy arrays."""
    config = dataclasses.replace(CONFIG, replay=dataclasses.replace(CONFIG.replay, **request.param))
    trainer = make_trainer(WORLD, config)
    runner = trainer.init(jax.random.key(0))
    while int(runner.step) < 20:
        runner, _ = trainer.run(jax.random.key(1), runner, 20 - int(runner.step))
    before = jax.tree.map(np.array, runner)
    one = jax.tree.map(lambda leaf: leaf[:NUM_ENVS], recorded())
    return trainer, before, jax.tree.map(np.array, trainer.prefill(runner, one._replace(reward=np.full(NUM_ENVS, 5.0))))


def test_running_episodes_are_cut_where_demonstrations_begin(stepped):
    trainer, before, after = stepped
    assert before.episode_length.tolist() == [3, 3], "in mid-episode"
    runner, _ = trainer.run(jax.random.key(1), jax.tree.map(jnp.array, after), 8)
    assert runner.episode_length.tolist() == [0, 0], "episodes of 7 steps go on"
    batch = drawn(trainer, runner.replay)
    mine = batch.obs[:, 0] < 100
    assert (batch.next_obs[mine, 0] <= 7).all()
    assert (batch.next_obs[~mine, 0] > 100).all()
    newest = mine & (batch.obs[:, 0] == 2) & (batch.next_obs[:, 0] == 3)
    assert newest.any(), "the true successor of the step before the cut"
    np.testing.assert_array_equal(batch.discount[newest], 0.5)


def test_returns_of_running_episodes_and_of_demonstrations_do_not_mix(stepped):
    _, before, after = stepped
    for params in (after.agent.params, after.agent.target_params):
        returns, moments = params.critic[REWARD]
        np.testing.assert_array_equal(returns, 0)
        old = before.agent.params.critic[REWARD]
        assert (old.returns != 0).all()
        mean = (float(old.moments.number) * float(old.moments.mean) + 2 * 5.0) / (float(old.moments.number) + 2)
        np.testing.assert_allclose(moments.mean, mean, rtol=1e-5)
    chex.assert_trees_all_equal(*((r.env, r.obs, r.first, r.episode_return, r.exploration) for r in (before, after)))

"""Going on after environments were restored: what is cut, and what stays to the bit."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import probe

from ddpg_jax import Config, DDPGConfig, ExplorationConfig, ReplayConfig, TrainConfig, make_trainer
from ddpg_jax.agent.normalization import REWARD
from ddpg_jax.envs.protocol import Restored
from ddpg_jax.training.faults import Fault, fault_kind, faulty_envs
from ddpg_jax.training.recovery import restart_episodes

NUM_ENVS = 3
CONFIG = Config(
    agent=DDPGConfig(hidden_sizes=(8,), normalization="none"),
    replay=ReplayConfig(capacity=60, batch_size=4, n_step=3),
    exploration=ExplorationConfig(kind="ou"),
    train=TrainConfig(start_steps=12, update_after=12, log_every=60),
)
WORLD = probe(lambda obs, action: action, length=7, obs=lambda time, sign: time)(NUM_ENVS)
TRAINER = make_trainer(WORLD, CONFIG)
KEY = jax.random.key(1)


def interrupted(steps=75):
    """A runner in mid-episode, its memory full, with a fault; and the very same as NumPy arrays."""
    runner = TRAINER.init(jax.random.key(0))
    while int(runner.step) < steps:
        runner, _ = TRAINER.run(KEY, runner, steps - int(runner.step))
    runner = runner._replace(fault=jnp.int32(Fault.ENV_FAILED))
    return runner, jax.tree.map(np.array, runner)


def test_exact_environments_go_on_to_the_bit():
    runner, before = interrupted()
    exact = Restored(before.env, before.obs, np.ones(NUM_ENVS, bool), "")
    after = restart_episodes(runner, TRAINER.replay, exact)
    assert fault_kind(after) == Fault.HEALTHY
    chex.assert_trees_all_equal(after, before._replace(fault=np.int32(0)))
    chex.assert_trees_all_equal_dtypes(after, before)
    one, two = (TRAINER.run(KEY, jax.tree.map(jnp.array, state), 9) for state in (after, before._replace(fault=0)))
    chex.assert_trees_all_equal(one, two)


def test_the_others_stand_at_the_start_of_an_episode():
    runner, before = interrupted()
    pointer = runner.replay.rows["float32"].unsafe_buffer_pointer()
    assert before.episode_length.tolist() == [4] * NUM_ENVS
    obs = before.obs.copy()
    obs[1] = 0
    restored = Restored((np.where([0, 1, 0], 0, before.env[0]), before.env[1]), obs, np.array([True, False, True]), "1")
    after = restart_episodes(runner, TRAINER.replay, restored)
    assert fault_kind(after) == Fault.HEALTHY
    assert after.first.tolist() == [False, True, False]
    assert after.episode_length.tolist() == [4, 0, 4]
    np.testing.assert_array_equal(after.episode_return, before.episode_return * [1, 0, 1])
    chex.assert_trees_all_equal((after.env, after.obs), (restored.state, restored.obs))
    kept = ("step", "agent", "exploration")
    chex.assert_trees_all_equal(*([getattr(state, name) for name in kept] for state in (after, before)))
    # The memory's newest row: obs, action, reward, terminated, truncated, next_obs.
    rows = before.replay.rows["float32"]
    rows[int(before.replay.head) - 1, 1, 4] = 1
    np.testing.assert_array_equal(after.replay.rows["float32"], rows)
    assert after.replay.rows["float32"].unsafe_buffer_pointer() == pointer, "the memory is not copied"


def test_noise_with_a_memory_starts_again_where_an_episode_does():
    runner, before = interrupted()
    restored = Restored(before.env, before.obs, np.array([False, True, True]), "")
    after, _ = TRAINER.run(KEY, restart_episodes(runner, TRAINER.replay, restored), NUM_ENVS)
    other, _ = TRAINER.run(KEY, jax.tree.map(jnp.array, before._replace(fault=0)), NUM_ENVS)
    decay = 1 - CONFIG.exploration.theta * CONFIG.exploration.dt
    np.testing.assert_allclose(
        other.exploration.noise - after.exploration.noise,
        decay * before.exploration.noise * np.array([[1], [0], [0]]),
        atol=1e-6,
    )


def test_a_discounted_return_starts_again_where_an_episode_does():
    trainer = make_trainer(
        WORLD, dataclasses.replace(CONFIG, agent=dataclasses.replace(CONFIG.agent, normalize_reward=True))
    )
    runner = trainer.init(jax.random.key(0))
    while int(runner.step) < 30:
        runner, _ = trainer.run(KEY, runner, 30 - int(runner.step))
    before = jax.tree.map(np.array, runner)
    old = before.agent.params.critic[REWARD]
    assert (old.returns != 0).all()
    after = restart_episodes(
        runner, trainer.replay, Restored(before.env, before.obs, np.array([True, False, True]), "")
    )
    for params in (after.agent.params, after.agent.target_params):
        np.testing.assert_array_equal(params.critic[REWARD].returns, old.returns * [1, 0, 1])
        chex.assert_trees_all_equal(params.critic[REWARD].moments, old.moments)
    chex.assert_trees_all_equal(after.agent.params.actor, before.agent.params.actor)


@pytest.mark.parametrize("field", ["reward", "next_obs"])
def test_a_run_goes_on_after_a_number_that_was_not_finite(field):
    """Environment 2 breaks at time 5 in the first episode that begins with +1, and is made anew with -1."""

    def step(key, state, action):
        after, obs, timestep = WORLD.step(key, state, action)
        bad = (jnp.arange(NUM_ENVS) == 2) & (state[0] == 5) & (state[1] > 0)
        leaf = getattr(timestep, field)
        return (
            after,
            obs,
            timestep._replace(**{field: jnp.where(bad.reshape(-1, *[1] * (leaf.ndim - 1)), jnp.nan, leaf)}),
        )

    trainer = make_trainer(
        WORLD._replace(step=step), dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, update_after=3))
    )
    runner, faults = trainer.init(jax.random.key(0)), 0
    for _ in range(30):
        runner, _ = trainer.run(KEY, runner, 60)
        if fault_kind(runner) == Fault.NOT_FINITE:
            faults += 1
            (broken,) = faulty_envs(runner)
            assert broken == 2
            exact = np.arange(NUM_ENVS) != broken
            time, sign = runner.env
            restored = Restored(
                (jnp.where(exact, time, 0), jnp.where(exact, sign, -1.0)), runner.obs * exact[:, None], exact, ""
            )
            runner = restart_episodes(runner, trainer.replay, restored)
    assert faults > 3
    assert int(runner.step) > 500
    chex.assert_tree_all_finite((runner.agent.params, runner.replay))

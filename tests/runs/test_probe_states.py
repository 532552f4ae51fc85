"""The looks at the policy: fixed states, drawn once, the same after a resume."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import goal_world
from worlds import probe as world

from ddpg_jax import Config, DDPGConfig, ReplayConfig, TrainConfig, make_trainer
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.probe_states import (
    NUM_STATES,
    STATES,
    from_rows,
    make_act_and_value,
    make_probe,
    read_states,
    to_rows,
)

CONFIG = Config(
    agent=DDPGConfig(hidden_sizes=(4,)),
    replay=ReplayConfig(capacity=200, batch_size=40),
    train=TrainConfig(start_steps=100, update_after=100, log_every=100),
)


@pytest.fixture(scope="module")
def trained():
    env = world(lambda obs, action: action, length=5, obs=lambda time, sign: sign * (1.0 + time))(1)
    trainer = make_trainer(env, CONFIG)
    runner, _ = trainer.run(jax.random.key(1), trainer.init(jax.random.key(0)), 100)
    return trainer, runner


def test_the_states_are_drawn_once_and_kept(trained, tmp_path):
    trainer, runner = trained
    look = make_act_and_value(trainer.agent)
    probe = make_probe(tmp_path, trainer.replay, look, jax.random.key(3))
    first = probe(runner)
    states = np.load(tmp_path / STATES)
    assert states.shape == (NUM_STATES, *runner.obs.shape[1:])
    later = runner._replace(
        step=runner.step + 50,
        replay=jax.tree.map(lambda leaf: jnp.zeros_like(leaf) + leaf.dtype.type(2), runner.replay),
    )
    assert probe(later)["q"] == first["q"], "another memory, the same states"
    again = make_probe(tmp_path, trainer.replay, look, jax.random.key(3))
    assert again(later)["q"] == first["q"], "also in the process that resumes"
    action = trainer.agent.act(runner.agent.params.actor, states)
    q = trainer.agent.q_values(runner.agent.params.critic, states, action)[0]
    np.testing.assert_allclose(first["action"], action, rtol=1e-4)
    np.testing.assert_allclose(first["q"], q, rtol=1e-4)
    assert first["action_stddev"] == pytest.approx(1 / 3**0.5, abs=0.15), "uniformly random actions so far"


@pytest.mark.parametrize("batch_size", [1, 5, 31, 32])
@pytest.mark.parametrize("make", [world(lambda obs, action: action, length=5, obs=lambda time, sign: sign), goal_world])
def test_there_are_as_many_states_whatever_the_batch(make, batch_size, tmp_path):
    config = replace(CONFIG, replay=replace(CONFIG.replay, batch_size=batch_size))
    trainer = make_trainer(make(1), config)
    runner, _ = trainer.run(jax.random.key(1), trainer.init(jax.random.key(0)), 100)
    row = make_probe(tmp_path, trainer.replay, make_act_and_value(trainer.agent), jax.random.key(3))(runner)
    assert (len(row["action"]), len(row["q"]), len(np.load(tmp_path / STATES))) == (32, 32, 32)
    assert row["action_stddev"] == pytest.approx(1 / 3**0.5, abs=0.25), "not 0, of the actions of one row"


def test_the_states_of_a_dict_are_kept_as_rows_and_looked_at_as_a_dict(tmp_path):
    trainer = make_trainer(goal_world(), CONFIG)
    runner, _ = trainer.run(jax.random.key(1), trainer.init(jax.random.key(0)), 100)
    look, seen = make_act_and_value(trainer.agent), []
    probe = make_probe(
        tmp_path, trainer.replay, lambda params, obs: seen.append(obs) or look(params, obs), jax.random.key(3)
    )
    row = probe(runner)
    rows = np.load(tmp_path / STATES)
    assert (rows.shape, rows.dtype) == ((NUM_STATES, 6), np.float32)
    (states,) = seen
    for index, name in enumerate(("achieved_goal", "desired_goal", "observation")):
        np.testing.assert_array_equal(states[name], rows[:, 2 * index : 2 * index + 2])
    np.testing.assert_array_equal(states["achieved_goal"], states["observation"])
    again = make_probe(tmp_path, trainer.replay, look, jax.random.key(3))
    assert again(runner._replace(step=runner.step + 50))["q"] == row["q"]


def test_rows_of_states_are_turned_back_to_the_bit():
    rng = np.random.default_rng(0)
    states = {
        "b": {"picture": rng.integers(0, 256, (5, 2, 3, 1), np.uint8), "flag": rng.random((5, 2)) < 0.5},
        "a": rng.standard_normal((5,)).astype(np.float32),
        "c": np.array([[2**31 - 1], [-(2**31)], [2**24 + 1], [0], [7]], np.int32),
    }
    rows = to_rows(states)
    assert (rows.shape, rows.dtype) == ((5, 1 + 2 + 6 + 1), np.float64)
    chex.assert_trees_all_equal(from_rows(rows, states), states, strict=True)
    np.testing.assert_array_equal(rows[:, 0], states["a"])
    del states["c"]
    assert to_rows(states).dtype == np.float32, "which is enough for all the others"
    chex.assert_trees_all_equal(from_rows(to_rows(states), states), states, strict=True)
    picture = states["b"]["picture"]
    assert to_rows(picture) is picture
    assert from_rows(picture, picture) is picture


def test_states_that_were_lost_or_damaged_are_drawn_anew_and_the_same(trained, tmp_path):
    trainer, runner = trained
    make = lambda: make_probe(tmp_path, trainer.replay, make_act_and_value(trainer.agent), jax.random.key(3))  # noqa: E731
    first, kept = make()(runner), (tmp_path / STATES).read_bytes()
    (tmp_path / STATES).write_bytes(kept[:100])
    assert make()(runner) == first
    assert (tmp_path / STATES).read_bytes() == kept


def test_a_file_of_other_states_or_of_none_is_not_used(tmp_path):
    like = np.zeros((3, 2), np.float32)
    path = tmp_path / STATES
    assert read_states(path, like) is None
    for other in (np.zeros((3, 1), np.float32), np.zeros((3, 2), int)):
        np.save(path, other)
        assert read_states(path, like) is None
    path.write_bytes(b"")
    assert read_states(path, like) is None, "a file that was never filled"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert read_states(path, like) is None, "an object would have to be unpickled"
    np.save(path, like + 1)
    assert read_states(path, like).tolist() == (like + 1).tolist()


def test_a_disk_that_does_not_take_them_is_a_storage_error(trained, tmp_path):
    trainer, runner = trained
    probe = make_probe(tmp_path / "missing", trainer.replay, make_act_and_value(trainer.agent), jax.random.key(3))
    with pytest.raises(StorageError, match="probe_states"):
        probe(runner)

"""The looks at the policy: fixed states, drawn once, the same after a resume."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import probe as world

from ddpg_jax import Config, DDPGConfig, ReplayConfig, TrainConfig, make_trainer
from ddpg_jax.runs.errors import StorageError
from ddpg_jax.runs.probe_states import NUM_STATES, STATES, make_look, make_prober, read_states

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
    look = make_look(trainer.agent)
    probe = make_prober(tmp_path, trainer.replay, look, jax.random.key(3))
    first = probe(runner)
    states = np.load(tmp_path / STATES)
    assert states.shape == (NUM_STATES, *runner.obs.shape[1:])
    later = runner._replace(
        step=runner.step + 50,
        replay=jax.tree.map(lambda leaf: jnp.zeros_like(leaf) + leaf.dtype.type(2), runner.replay),
    )
    assert probe(later)["q"] == first["q"], "another memory, the same states"
    again = make_prober(tmp_path, trainer.replay, look, jax.random.key(3))
    assert again(later)["q"] == first["q"], "also in the process that resumes"
    action = trainer.agent.act(runner.agent.params.actor, states)
    q = trainer.agent.q_values(runner.agent.params.critic, states, action)[0]
    np.testing.assert_allclose(first["action"], action, rtol=1e-4)
    np.testing.assert_allclose(first["q"], q, rtol=1e-4)
    assert first["action_stddev"] == pytest.approx(1 / 3**0.5, abs=0.15), "uniformly random actions so far"


def test_states_that_were_lost_or_damaged_are_drawn_anew_and_the_same(trained, tmp_path):
    trainer, runner = trained
    make = lambda: make_prober(tmp_path, trainer.replay, make_look(trainer.agent), jax.random.key(3))  # noqa: E731
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
    probe = make_prober(tmp_path / "missing", trainer.replay, make_look(trainer.agent), jax.random.key(3))
    with pytest.raises(StorageError, match="probe_states"):
        probe(runner)

import jax
import numpy as np
import pytest

from ddpg_jax import DDPGConfig, ddpg
from ddpg_jax.config import ConfigError
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage import best_policy, checkpoint
from ddpg_jax.runs.storage.choice import choose
from ddpg_jax.runs.storage.directory import CHECKPOINTS
from ddpg_jax.runs.storage.fault_points import PASSED, VARIABLE
from ddpg_jax.types import EnvSpec

SPEC = EnvSpec(jax.ShapeDtypeStruct((3,), np.float32), np.array([-2.0]), np.array([2.0]))
AGENT = ddpg(SPEC, DDPGConfig(hidden_sizes=(4,), normalize_obs=True))


@pytest.fixture(scope="module")
def states():
    """Agents that differ, by step."""
    return {step: AGENT.init(jax.random.key(step)) for step in (80, 90, 100, 110, 1000)}


def steps(run):
    return [best_policy.step_of(path) for path in best_policy.kept(run / CHECKPOINTS)]


def save_whole(run, step, keep=9):
    checkpoint.save(run, step, {"step": jax.numpy.int32(step)}, b"", {}, keep)


def test_it_holds_what_acting_and_going_on_need_and_what_it_earned(states, tmp_path):
    best_policy.save(tmp_path, 90, states[90], -3.5)
    found = choose(tmp_path, "best", print)
    assert (found.step, checkpoint.evaluation_of(found)) == (90, -3.5)
    like = jax.eval_shape(AGENT.init, jax.random.key(0))
    for part in ("params", "target_params"):
        restored = checkpoint.restore(found, getattr(like, part), f"agent.{part}.")
        jax.tree.map(np.testing.assert_array_equal, restored, getattr(states[90], part))


def test_a_better_one_takes_the_place_of_the_one_before(states, tmp_path):
    for step in (90, 100, 1000):
        best_policy.save(tmp_path, step, states[step], float(step))
        assert steps(tmp_path) == [step]
    assert [path.name for path in (tmp_path / CHECKPOINTS).iterdir()] == ["best-step1000"]


def test_one_that_a_kept_checkpoint_knows_stays_until_that_is_removed(states, tmp_path):
    best_policy.save(tmp_path, 80, states[80], 0.0)
    save_whole(tmp_path, 85)
    best_policy.save(tmp_path, 90, states[90], 1.0)
    best_policy.save(tmp_path, 100, states[100], 2.0)
    assert steps(tmp_path) == [80, 100], "no checkpoint was written while that of step 90 was the best"
    save_whole(tmp_path, 105, keep=1)
    best_policy.save(tmp_path, 110, states[110], 3.0)
    assert steps(tmp_path) == [100, 110]


def test_of_an_evaluation_at_the_step_of_a_checkpoint_both_stay(states, tmp_path):
    """The checkpoint may be from before it or from after it."""
    best_policy.save(tmp_path, 80, states[80], 0.0)
    save_whole(tmp_path, 90)
    best_policy.save(tmp_path, 90, states[90], 1.0)
    best_policy.save(tmp_path, 100, states[100], 2.0)
    assert steps(tmp_path) == [80, 90, 100]


def test_those_of_evaluations_to_be_made_again_are_forgotten(states, tmp_path):
    for step in (80, 90):
        best_policy.save(tmp_path, step, states[step], float(step))
        save_whole(tmp_path, step)
    best_policy.forget_later(tmp_path, 85)
    assert steps(tmp_path) == [80]


@pytest.mark.parametrize("point", ["saving", "state-saved", "manifest-saved"])
def test_where_the_disk_is_full_the_one_before_stays_whole(point, states, tmp_path, monkeypatch):
    best_policy.save(tmp_path, 90, states[90], 1.0)
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, f"{point}:1:full")
    with pytest.raises(StorageError, match=r"best-step100 cannot be written: No space left on device"):
        best_policy.save(tmp_path, 100, states[100], 2.0)
    assert [path.name for path in (tmp_path / CHECKPOINTS).iterdir()] == ["best-step90"]
    assert choose(tmp_path, "best", print).step == 90


def test_a_damaged_one_is_refused_and_no_other_is_taken_for_it(states, tmp_path):
    best_policy.save(tmp_path, 90, states[90], 1.0)
    save_whole(tmp_path, 90)
    (tmp_path / CHECKPOINTS / "best-step90" / checkpoint.HOST).write_bytes(b"other")
    with pytest.raises(StorageError, match=r"best-step90/host\.bin has 5 bytes, not 0"):
        choose(tmp_path, "best", print)


def test_the_checkpoints_of_steps_are_found_and_others_are_refused_with_those_that_are_kept(states, tmp_path):
    save_whole(tmp_path, 85)
    save_whole(tmp_path, 1000)
    with pytest.raises(ConfigError, match="holds no best policy, since no evaluation kept one so far; there are those"):
        choose(tmp_path, "best", print)
    best_policy.save(tmp_path, 90, states[90], 1.0)
    assert [choose(tmp_path, step, print).path.name for step in ("last", "best", 85, "90", 1000)] == [
        "000002-step1000", "best-step90", "000001-step85", "best-step90", "000002-step1000",
    ]  # fmt: skip
    for wanted in (86, "86", "-1", "newest", ""):
        with pytest.raises(ConfigError, match=r"there are those of the steps 85, 90, 1000$"):
            choose(tmp_path, wanted, print)


def test_one_that_is_replaced_while_it_is_read_gives_way_to_the_next(states, tmp_path, monkeypatch):
    best_policy.save(tmp_path, 90, states[90], 1.0)
    restore = checkpoint.restore

    def late(found, *arguments):
        monkeypatch.setattr(checkpoint, "restore", restore)
        best_policy.save(tmp_path, 100, states[100], 2.0)
        return restore(found, *arguments)

    monkeypatch.setattr(checkpoint, "restore", late)
    like = jax.eval_shape(AGENT.init, jax.random.key(0)).params
    found, params = checkpoint.read(lambda: choose(tmp_path, "best", print), like, "agent.params.")
    assert found.step == 100
    jax.tree.map(np.testing.assert_array_equal, params, states[100].params)

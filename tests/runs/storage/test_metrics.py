import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpg_jax import Evaluation, Metrics
from ddpg_jax.agent.state import UpdateInfo
from ddpg_jax.runs.storage.metrics import (
    Means,
    add_updates,
    append_rows,
    episode_rows,
    evaluation_row,
    probe_row,
    update_rows,
)


def metrics(losses, steps=None, ended=None):
    count = len(losses)
    nan = np.full(count, np.nan, np.float32)
    update = UpdateInfo(*[nan] * len(UpdateInfo._fields))._replace(critic_loss=np.array(losses, np.float32))
    ended = np.zeros((count, 1), bool) if ended is None else np.array(ended)[:, None]
    figures = np.arange(count, dtype=np.float32)[:, None]
    return Metrics(np.arange(1, count + 1) if steps is None else np.array(steps), update, ended, figures, figures)


def test_means_are_over_what_is_finite_and_named_as_the_figures():
    means = add_updates(Means(), metrics([1, np.nan, 2, np.inf, 6]))
    rows = update_rows(means, 500, 1.23456, 2)
    assert rows == [{"kind": "update", "step": 500, "seconds": 1.235, "skipped": 2, "critic_loss": 3.0}]


def test_a_row_is_the_same_where_a_checkpoint_has_sorted_the_names():
    one = metrics([1.0, 2.0])
    means = add_updates(Means(), one._replace(update=one.update._replace(actor_loss=np.array([3.0, 4.0]))))
    resumed = Means(**json.loads(json.dumps(means._asdict(), sort_keys=True)))
    (row,), (again,) = (update_rows(of, 500, 1.0, 0) for of in (means, resumed))
    assert json.dumps(row) == json.dumps(again)


def test_without_an_update_there_is_no_row():
    assert update_rows(add_updates(Means(), metrics([np.nan])), 500, 1.0, 0) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32) | st.just(float("nan")), min_size=1, max_size=40), st.integers(0, 40))
def test_it_changes_no_bit_where_the_steps_between_two_rows_were_interrupted(losses, cut):
    whole = add_updates(Means(), metrics(losses))
    halves = add_updates(add_updates(Means(), metrics(losses[:cut])), metrics(losses[cut:]))
    assert halves == whole
    assert Means(**json.loads(json.dumps(halves._asdict()))) == whole, "also through the JSON of a checkpoint"


def test_episodes_that_ended_in_steps_that_were_taken():
    rows = episode_rows(metrics([1, 1, 1], steps=[2, 4, 0], ended=[True, False, True]))
    assert rows == [{"kind": "episode", "step": 2, "env": 0, "return": 0.0, "length": 0}]


def test_an_evaluation_row_has_every_episode_beside_what_the_critic_promised():
    evaluation = Evaluation(np.array([-3.0, 1.5]), np.array([3, 4]), np.array([-2.123456, 1.0]), np.zeros((2, 1)))
    assert evaluation_row(7, evaluation, np.array([np.float32(0.1), 123456.0])) == {
        "kind": "evaluation",
        "step": 7,
        "returns": [-3.0, 1.5],
        "lengths": [3, 4],
        "discounted_returns": [-2.1235, 1.0],
        "q": [0.1, 123460.0],
    }


def test_a_probe_row_has_actions_q_and_how_far_the_actions_in_the_memory_spread():
    row = probe_row(5, np.array([[0.1, -1], [1, 0]], np.float32), np.array([2.0, 3.0]), np.array([[0, 3], [0, 5.0]]))
    assert row == {
        "kind": "probe",
        "step": 5,
        "action": [[0.1, -1.0], [1.0, 0.0]],
        "q": [2.0, 3.0],
        "action_stddev": 0.5,
    }


def test_rows_are_appended_and_the_length_of_the_file_is_known(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = append_rows(path, [{"kind": "episode", "step": 1}])
    second = append_rows(path, [{"kind": "episode", "step": 2}])
    assert first == 31
    assert second == 62 == path.stat().st_size
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]

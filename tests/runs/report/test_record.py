import json

import numpy as np
import pytest
from made_runs import episode, probe, update, whole_run, write_run

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.report.record import BATCH, read_record
from ddpg_jax.runs.storage.directory import METRICS


def test_rows_come_by_kind_in_the_order_of_their_writing(tmp_path):
    rows = whole_run()
    record = read_record(write_run(tmp_path / "run", rows))
    assert sum(map(len, record.rows.values())) == len(rows)
    for kind, found in record.rows.items():
        assert found == [row for row in rows if row["kind"] == kind]
    assert record.unreadable == 0
    assert record.run.config.train.total_steps == 10_000


def test_a_line_that_is_still_being_written_is_no_row_and_no_damage(tmp_path):
    whole = json.dumps(episode(400, -900.0))
    for tail in ("{", whole[:30], whole):
        record = read_record(write_run(tmp_path / str(len(tail)), [episode(200, -1000.0)], tail=tail))
        assert [row["step"] for row in record.rows["episode"]] == [200]
        assert record.unreadable == 0


def test_lines_that_are_no_rows_are_counted_and_cost_no_other(tmp_path):
    broken = ["{", "[]", "17", '{"step": 3}', '{"kind": ["episode"]}', '{"kind": "unheard-of"}']
    broken += ["[1", "2]", "[" * 100_000]
    rows = [json.dumps(episode(step, -1.0)) for step in range(2 * BATCH)]
    lines = rows[:BATCH] + broken + rows[BATCH:]
    record = read_record(write_run(tmp_path / "run", tail="\n".join(lines) + "\n"))
    assert [row["step"] for row in record.rows["episode"]] == list(range(2 * BATCH))
    assert record.unreadable == len(broken)


def test_without_metrics_there_are_no_rows_and_without_settings_no_run(tmp_path):
    path = write_run(tmp_path / "run")
    (path / METRICS).unlink()
    assert not any(read_record(path).rows.values())
    with pytest.raises(ConfigError, match="holds no run"):
        read_record(tmp_path)


def test_probe_states_are_numbers_or_nothing(tmp_path):
    path = write_run(tmp_path / "run", [probe(500, [[0.1]], [1.0]), update(500)])
    file = path / "probe_states.npy"
    assert read_record(path).probe_states is None
    np.save(file, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(read_record(path).probe_states, np.arange(6.0).reshape(2, 3))
    for content in (b"", b"\x93NUMPY", file.read_bytes()[:-8], b"no array"):
        file.write_bytes(content)
        assert read_record(path).probe_states is None
    np.save(file, np.array([{}], object), allow_pickle=True)
    assert read_record(path).probe_states is None, "a pickle is not opened"

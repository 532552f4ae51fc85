"""Runs that begin with what another has learned."""

import json
import shutil

import numpy as np
import pytest

from benchmarks.durability.kills import read_arrays
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.storage.choice import choose
from ddpg_jax.runs.storage.directory import read_settings
from ddpg_jax.runs.storage.origin import Origin

TINY = [
    "--env", "gymnax/Pendulum-v1", "--preset", "default", "--agent.hidden-sizes", "8", "--agent.normalize-obs",
    "--agent.normalize-reward", "--replay.capacity", "300", "--replay.batch-size", "8", "--train.total-steps", "160",
    "--train.start-steps", "40", "--train.update-after", "40", "--train.log-every", "40", "--train.probe-every", "0",
    "--train.eval-every", "80", "--train.eval-episodes", "2", "--train.eval-envs", "2", "--train.eval-steps", "20",
    "--train.final-eval-episodes", "2",
]  # fmt: skip
# What lies in these of a run is its own, and not that of the run it began with.
FRESH = ("agent.opt_state", "agent.step", "agent.skipped", "agent.copy_due")


def train(run, *options):
    return cli.main(["train", *TINY, "--run-dir", str(run), *options])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    run = tmp_path_factory.mktemp("source") / "a"
    more = ["--train.total-steps", "320", "--checkpoint.every", "160", "--checkpoint.keep", "9"]
    assert train(run, "--seed", "1", *more) == 0
    return run


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A run of another seed that began with networks of its own."""
    run = tmp_path_factory.mktemp("fresh") / "b"
    assert train(run, "--seed", "2") == 0
    return run


def first(run):
    """The arrays of a run's first checkpoint."""
    return read_arrays(choose(run, 0, print))


@pytest.mark.parametrize(("wanted", "replay"), [("last", True), ("best", False), ("160", True)])
def test_it_begins_with_exactly_what_was_learned_and_all_else_is_its_own(
    wanted, replay, source, fresh, tmp_path, capsys
):
    run = tmp_path / "run"
    options = ["--warm-start-replay"] if replay else []
    chosen = ["--warm-start", str(source), "--warm-start-checkpoint", wanted]
    assert train(run, "--seed", "2", *chosen, *options) == 0
    found = choose(source, wanted, print)
    out = capsys.readouterr().out
    assert f"begins with the networks of {source} after {found.step} steps" in out
    assert f" with{'' if replay else 'out'} its replay memory; optimisers and counts begin fresh" in out
    begun, own, learned = first(run), first(fresh), read_arrays(found)
    memory = read_arrays(choose(source, "last", print))
    for name, value in begun.items():
        taken = name.startswith(("agent.params.", "agent.target_params.")) and not name.endswith("statistics.returns")
        kept = replay and name.startswith("replay.") and "rows" not in name
        expected = learned[name] if taken else memory[name] if kept else own[name]
        if not (replay and name.startswith("replay.rows")):  # whose newest step is cut
            np.testing.assert_array_equal(value, expected, err_msg=name)
    assert all(any(name.startswith(part) for name in begun) for part in FRESH[:3])
    assert read_settings(run).origin == Origin(str(source), wanted, found.step, replay)
    assert "began with" in (run / "report.html").read_text()
    assert "began with" not in (fresh / "report.html").read_text()


def test_the_memory_is_that_run_s_with_its_running_episode_cut(source, tmp_path):
    run = tmp_path / "run"
    assert train(run, "--warm-start", str(source), "--warm-start-replay") == 0
    begun, memory = first(run), read_arrays(choose(source, "last", print))
    assert int(begun["replay.size"]) == 300
    for name in (name for name in begun if name.startswith("replay.rows")):
        assert (np.asarray(begun[name]) != np.asarray(memory[name])).sum() <= 1, "the flag of the newest step at most"


def test_killed_before_its_first_checkpoint_it_begins_so_again(source, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, "--warm-start", str(source)) == 0
    expected = first(run)
    for name in ("checkpoints", "metrics.jsonl"):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert cli.main(["resume", str(run)]) == 0
    assert f"begins with the networks of {source} after 320 steps" in capsys.readouterr().out
    for name, value in first(run).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--agent.hidden-sizes", "9"], "agent.hidden_sizes is (8,) there and (9,) here; set them as they are there"),
        (["--agent.activation", "tanh"], "agent.activation is 'relu' there and 'tanh' here; set them as they are"),
        (["--agent.num-critics", "2"], "agent.num_critics is 1 there and 2 here; set them as they are there"),
        (["--env", "MountainCarContinuous-v0"], "its networks are not those of MountainCarContinuous-v0, whose spaces"),
        (["--warm-start-replay", "--replay.capacity", "400"], "replay.capacity is 300 there and 400 here; set them"),
        (["--warm-start-checkpoint", "7"], "keeps no checkpoint of step 7; there are those of the steps 0, "),
        (["--warm-start-checkpoint", "bset"], "checkpoint = 'bset' must be 'last', 'best' or a step; there are those"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_it_and_nothing_is_written(options, message, source, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, "--warm-start", str(source), *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not run.exists()


def test_what_is_no_run_or_no_warm_start_is_one_line_and_nothing_is_written(source, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, "--warm-start", str(tmp_path)) == 2
    assert "holds no run" in capsys.readouterr().err
    assert train(run, "--warm-start-replay") == 2
    assert "--warm-start-checkpoint and --warm-start-replay need --warm-start RUN" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copyfile(source / "config.json", empty / "config.json")
    assert train(run, "--warm-start", str(empty)) == 2
    assert f"--warm-start {empty}: it holds no checkpoint yet" in capsys.readouterr().err
    assert not run.exists()


@pytest.mark.parametrize(
    "origin", [3, ["a"], {}, {"run": "a"}, {"run": 1, "checkpoint": "", "step": 0, "replay": True}]
)
def test_an_origin_in_a_file_is_data_or_the_file_is_damaged(origin, source, tmp_path, capsys):
    values = json.loads((source / "config.json").read_text()) | {"warm_start": origin}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err

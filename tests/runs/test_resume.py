"""Runs that are stopped or killed, and go on to the same bits."""

import functools
import json
import shutil
import subprocess
import time

import numpy as np
import pytest
from worlds import Scripted

from benchmarks.durability import kills
from ddpg_jax.runs import session
from ddpg_jax.runs.commands import train as commands
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.directory import METRICS
from ddpg_jax.runs.storage.fault_points import PASSED, POINTS, VARIABLE

COMPILED, GYMNASIUM = "gymnax/Pendulum-v1", "Pendulum-v1"
TINY = {
    "agent.hidden-sizes": "8",
    "replay.capacity": 400,
    "replay.batch-size": 8,
    "replay.n-step": 3,
    "exploration.kind": "ou",
    "train.num-envs": 2,
    "train.total-steps": 640,
    "train.start-steps": 80,
    "train.update-after": 160,
    "train.log-every": 80,
    "train.eval-every": 240,
    "train.eval-episodes": 1,
    "train.final-eval-episodes": 1,
    "checkpoint.every": 160,
}


def train(run, env=COMPILED, **changes):
    options = TINY | {name.replace("__", "."): value for name, value in changes.items()}
    flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", *str(value).split())]
    return cli.main(["train", "--env", env, "--run-dir", str(run), "--seed", "3", *flags])


def rows(run):
    return [json.loads(line) for line in (run / METRICS).read_text().splitlines()]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """The same settings need not be traced again for each run; what is compiled keeps nothing between two."""
    with pytest.MonkeyPatch.context() as patch:
        again = functools.cache(session.prepare)
        prepare = lambda config: (again if config.env == COMPILED else session.prepare)(config)  # noqa: E731
        patch.setattr(commands, "prepare", prepare)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run on a compiled environment that nobody disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert train(run) == 0
    return run


@pytest.fixture(scope="module")
def expected(whole):
    return kills.fingerprint(whole)


@pytest.mark.parametrize("phase", kills.STOPPED_IN)
def test_sigterm_in_every_phase_stops_with_a_checkpoint_and_goes_on_to_the_bit(
    expected, phase, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, kills.STOPPED_IN[phase])
    assert train(run) == 75
    monkeypatch.delenv(VARIABLE)
    out = capsys.readouterr().out
    assert out.strip().splitlines()[-1].startswith("stopped after ")
    assert out.strip().endswith(f"continue with: ddpg-jax resume {run}")
    assert cli.main(["resume", str(run)]) == 0
    assert kills.fingerprint(run) == expected


EVERYTHING = {
    "replay.sampling": "prioritized",
    "replay.compact": "",
    "exploration.parameter-noise": 0.2,
    "exploration.smoothing": 0.1,
    "agent.normalization": "batch",
    "agent.normalize-obs": "",
    "agent.normalize-reward": "",
    "agent.num-atoms": 11,
    "agent.num-critics": 2,
    "agent.policy-delay": 2,
    "agent.target-period": 3,
}


def test_with_many_options_on_it_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    """Priorities, kept observations, perturbed actors and statistics are all in the checkpoint."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train(whole, **EVERYTHING) == 0
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, kills.STOPPED_IN["training"])
    assert train(run, **EVERYTHING) == 75
    monkeypatch.delenv(VARIABLE)
    assert cli.main(["resume", str(run)]) == 0
    assert kills.fingerprint(run) == kills.fingerprint(whole)


def of_steps(run):
    """Rows of episodes and updates, which come with the steps; without their wall-clock fields."""
    found = [row for row in rows(run) if row["kind"] in ("episode", "update")]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


def test_a_finished_run_that_goes_on_takes_the_steps_of_one_that_was_as_long_at_once(whole, expected, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, train__total_steps=320) == 0
    before = contents(run)
    assert cli.main(["resume", str(run), "--train.total-steps", "319"]) == 2
    assert f"train.total_steps = 319 must be at least 320, the steps that {run} has taken" in capsys.readouterr().err
    assert contents(run) == before
    assert cli.main(["resume", str(run), "--train.total-steps", "640"]) == 0
    said = "schedules go on as they were, and are not stretched: agent.lr_decay_updates = 9000\n"
    assert said in capsys.readouterr().out
    assert kills.fingerprint(run).runner == expected.runner
    assert of_steps(run) == of_steps(whole)
    assert json.loads((run / "config.json").read_text())["config"]["train"]["total_steps"] == 640


def test_so_it_does_with_schedules_and_where_its_own_environments_played_the_evaluations(tmp_path, capsys):
    changes = {
        "train.eval-envs": 0,
        "agent.lr-decay-updates": 100,
        "exploration.decay-rate": 0.9,
        "replay.sampling": "prioritized",
        "agent.normalize-obs": "",
    }
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train(whole, GYMNASIUM, train__total_steps=480, **changes) == 0
    assert train(run, GYMNASIUM, train__total_steps=320, **changes) == 0
    capsys.readouterr()
    assert cli.main(["resume", str(run), "--train.total-steps", "480"]) == 0
    said = "not stretched: agent.lr_decay_updates = 100, exploration.decay_rate = 0.9"
    assert f"schedules go on as they were, and are {said}\n" in capsys.readouterr().out
    assert kills.fingerprint(run).runner == kills.fingerprint(whole).runner
    assert of_steps(run) == of_steps(whole)


def test_killed_while_training_on_gymnasium_it_ends_at_the_same_bits(tmp_path, monkeypatch):
    """One of those that `benchmarks.durability.kills` makes, and below it another."""
    monkeypatch.setattr(kills, "OPTIONS", TINY)
    assert kills.execute(kills.train_command(GYMNASIUM, 3, tmp_path / "whole")) == 0
    run = tmp_path / "run"
    assert kills.survive(GYMNASIUM, kills.Trial(3, "stepped:7", None), run) == -9
    assert kills.fingerprint(run) == kills.fingerprint(tmp_path / "whole")


def test_killed_while_resuming_it_ends_at_the_same_bits(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(kills, "OPTIONS", TINY)
    run = tmp_path / "run"
    assert kills.survive(COMPILED, kills.Trial(3, "resuming:1", None), run) == -9
    assert kills.fingerprint(run) == expected


def test_every_fault_point_is_passed(tmp_path, monkeypatch):
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, "none")
    run = tmp_path / "run"
    assert train(run) == 0
    shutil.rmtree(checkpoint.complete(run / "checkpoints")[-1])
    assert cli.main(["resume", str(run)]) == 0
    assert set(PASSED) == set(POINTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"train__log_every": 40},
        {"train__log_every": 1000},
        {"train__eval_every": 0},
        {"train__eval_every": 100, "train__eval_episodes": 3},
        {"checkpoint__every": 70, "checkpoint__keep": 1},
        {"checkpoint__every": 0, "checkpoint__minutes": 0},
    ],
)
def test_how_often_it_logs_evaluates_or_saves_changes_no_bit(expected, changes, tmp_path):
    run = tmp_path / "run"
    assert train(run, **changes) == 0
    assert kills.fingerprint(run).runner == expected.runner


def test_the_same_seed_twice_gives_the_same_bits(expected, tmp_path):
    assert train(tmp_path / "run") == 0
    assert kills.fingerprint(tmp_path / "run") == expected


def test_a_run_that_ended_is_left_as_it_is(whole, capsys):
    before = contents(whole)
    assert cli.main(["resume", str(whole)]) == 0
    assert f"{whole} has already finished, after 640 steps" in capsys.readouterr().out
    assert contents(whole) == before


def test_when_all_checkpoints_are_damaged_it_refuses_and_changes_nothing(whole, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for path in checkpoint.complete(run / "checkpoints"):
        (path / "host.bin").write_bytes(b"other")
    before = contents(run)
    assert cli.main(["resume", str(run)]) == 5
    error = capsys.readouterr().err
    assert "every checkpoint in" in error
    assert error.count("\n") == 1
    assert contents(run) == before


def test_without_any_checkpoint_left_it_refuses(whole, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoints")
    assert cli.main(["resume", str(run)]) == 5
    assert "has metrics, and its checkpoints are gone" in capsys.readouterr().err


def test_a_damaged_newest_checkpoint_costs_only_what_came_after_the_one_before(whole, expected, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    newest = checkpoint.complete(run / "checkpoints")[-1]
    (newest / "host.bin").write_bytes(b"other")
    assert cli.main(["resume", str(run)]) == 0
    assert "a newer checkpoint is damaged: " in capsys.readouterr().out
    assert kills.fingerprint(run) == expected
    assert newest.with_name(newest.name + ".damaged").is_dir()


def test_rows_torn_in_their_last_line_are_written_again(whole, expected, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(checkpoint.complete(run / "checkpoints")[-1])
    text = (run / METRICS).read_text()
    (run / METRICS).write_text(text[: len(text) - 20])
    assert cli.main(["resume", str(run)]) == 0
    assert kills.fingerprint(run) == expected


@pytest.mark.parametrize(
    ("path", "message"), [("missing", "holds no run"), (".", "holds no run"), ("/proc", "holds no run")]
)
def test_what_is_no_run_is_refused(path, message, tmp_path, capsys):
    assert cli.main(["resume", str(tmp_path / path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_stops_the_run_and_the_checkpoint_before_goes_on(expected, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, "state-saved:3:full")
    assert train(run) == 5
    monkeypatch.delenv(VARIABLE)
    error = capsys.readouterr().err
    assert "No space left on device; it needs up to " in error
    assert "are free; the checkpoint before it is untouched" in error
    assert cli.main(["resume", str(run)]) == 0
    assert kills.fingerprint(run) == expected


class Unrepeatable(Scripted):
    """Its observations hold something that no seed knows."""

    def observe(self):
        return super().observe() + np.random.uniform()


def test_an_environment_that_does_not_repeat_itself_is_said_once_and_marked(tmp_path, monkeypatch, capsys):
    import gymnasium

    gymnasium.register("Unrepeatable-v0", entry_point=Unrepeatable)
    run = tmp_path / "run"
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, "stepped:5:term")
    assert train(run, "Unrepeatable-v0", train__eval_every=0) == 75
    monkeypatch.delenv(VARIABLE)
    capsys.readouterr()
    assert cli.main(["resume", str(run)]) == 0
    assert capsys.readouterr().out.count("exact_resume: false") == 1
    assert checkpoint.newest(run, print).progress["exact_resume"] is False
    assert len([row for row in rows(run) if row["kind"] == "restart"]) == 1


def test_two_processes_do_not_write_one_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kills, "OPTIONS", TINY)
    run = tmp_path / "run"
    first = subprocess.Popen([*kills.train_command(COMPILED, 3, run), "--train.total-steps", "100000000"])
    try:
        deadline = time.monotonic() + 100
        while not (run / METRICS).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert cli.main(["resume", str(run)]) == 2
        assert f"{run} is being written by process {first.pid} on" in capsys.readouterr().err
        assert cli.main(["evaluate", str(run), "--episodes", "1"]) == 0
    finally:
        first.terminate()
        assert first.wait(60) == 75

"""The policy of the best evaluation: which one it is, what survives a stop, and what commands do with it."""

import functools
import json
import shutil

import numpy as np
import pytest

from benchmarks.durability import kills
from ddpg_jax.runs import session
from ddpg_jax.runs.commands import resume, train
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.storage import best_policy, checkpoint
from ddpg_jax.runs.storage.choice import choose
from ddpg_jax.runs.storage.directory import CHECKPOINTS, METRICS
from ddpg_jax.runs.storage.fault_points import PASSED, VARIABLE

TINY = [
    "--env", "gymnax/Pendulum-v1", "--preset", "default", "--seed", "1", "--agent.hidden-sizes", "8",
    "--agent.normalize-obs", "--replay.capacity", "400", "--replay.batch-size", "8", "--train.total-steps", "480",
    "--train.start-steps", "40", "--train.update-after", "40", "--train.log-every", "40", "--train.probe-every", "0",
    "--train.eval-every", "80", "--train.eval-episodes", "2", "--train.eval-envs", "2", "--train.eval-steps", "20",
    "--train.final-eval-episodes", "2", "--checkpoint.every", "80", "--checkpoint.keep", "20",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """All runs here have the same settings but for one, and what is compiled keeps nothing between two."""
    with pytest.MonkeyPatch.context() as patch:
        again = functools.cache(session.prepare)
        for command in (train, resume):
            patch.setattr(command, "prepare", again)
        yield


def evaluations(run):
    """Mean returns by step."""
    rows = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    return {row["step"]: np.mean(row["returns"]) for row in rows if row["kind"] == "evaluation"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with a checkpoint at each of its evaluations, and the step of the best one, which is not the last."""
    run = tmp_path_factory.mktemp("best") / "run"
    assert cli.main(["train", *TINY, "--run-dir", str(run)]) == 0
    earned = evaluations(run)
    step = max(earned, key=earned.get)
    assert 80 < step < 480, earned
    return run, step, earned[step]


def params(found):
    return {name: leaf for name, leaf in kills.read_arrays(found).items() if "params" in name}


def test_it_is_the_policy_of_the_evaluation_with_the_greatest_mean(trained):
    run, step, earned = trained
    found = choose(run, "best", print)
    assert (found.step, checkpoint.evaluation_of(found)) == (step, pytest.approx(earned, rel=1e-6))
    whole = [path for path in checkpoint.complete(run / CHECKPOINTS) if path.name.endswith(f"-step{step}")]
    expected, kept = (params(checkpoint.read_checkpoint(path)) for path in (whole[-1], found.path))
    assert set(kept) == {name for name in expected if name.startswith(("agent.params.", "agent.target_params."))}
    for name in kept:
        np.testing.assert_array_equal(kept[name], expected[name], err_msg=name)
    progress = checkpoint.newest(run, print).progress
    assert (progress["best"], progress["best_step"]) == (checkpoint.evaluation_of(found), step)


def test_a_run_that_goes_on_from_before_it_has_no_later_best_and_ends_with_the_same(trained, tmp_path, monkeypatch):
    source, step, _ = trained
    run = tmp_path / "run"
    shutil.copytree(source, run)
    for path in checkpoint.complete(run / CHECKPOINTS):
        if best_policy.step_of(path) >= step:
            shutil.rmtree(path)
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, "stepped:1:term")
    assert cli.main(["resume", str(run)]) == 75
    monkeypatch.delenv(VARIABLE)
    found = checkpoint.newest(run, print)
    earned = {when: mean for when, mean in evaluations(run).items() if when < step}
    assert found.progress["best_step"] == max(earned, key=earned.get)
    assert best_policy.step_of(best_policy.kept(run / CHECKPOINTS)[-1]) == found.progress["best_step"]
    assert cli.main(["resume", str(run)]) == 0
    assert kills.fingerprint(run) == kills.fingerprint(source)


@pytest.mark.parametrize("fault", ["evaluated:3", "saved:6", "evaluating:4"])
def test_a_run_stopped_around_an_evaluation_ends_with_the_same_best(fault, trained, tmp_path, monkeypatch):
    run = tmp_path / "run"
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, f"{fault}:term")
    assert cli.main(["train", *TINY, "--run-dir", str(run)]) == 75
    monkeypatch.delenv(VARIABLE)
    best_then = best_policy.kept(run / CHECKPOINTS)[-1]
    assert best_policy.step_of(best_then) == checkpoint.newest(run, print).progress["best_step"]
    assert cli.main(["resume", str(run)]) == 0
    assert kills.fingerprint(run) == kills.fingerprint(trained[0])


def test_without_evaluations_while_training_the_final_one_is_the_best(tmp_path, capsys):
    run = tmp_path / "run"
    assert cli.main(["train", *TINY, "--train.eval-every", "0", "--run-dir", str(run)]) == 0
    assert "best evaluation:" not in capsys.readouterr().out
    assert choose(run, "best", print).step == 480


def test_the_end_of_a_training_says_both_and_its_progress_calls_it_so(tmp_path, trained, capsys):
    _, step, earned = trained
    run = tmp_path / "run"
    assert cli.main(["train", *TINY, "--run-dir", str(run)]) == 0
    *_, best, last, report = capsys.readouterr().out.strip().splitlines()
    see = f"see: ddpg-jax evaluate {run} --checkpoint best"
    assert best == f"best evaluation: return {earned:.1f} after {step} steps; {see}"
    assert last.startswith("gymnax/Pendulum-v1 after 480 steps: return -")
    assert report.startswith("report: ")


def test_evaluate_and_export_use_the_policy_that_is_chosen_and_say_which(trained, tmp_path, capsys):
    run, step, earned = trained
    said = f"after {step} steps (evaluated in training: return {earned:.1f})"
    for wanted in ("best", str(step)):
        assert cli.main(["evaluate", str(run), "--episodes", "2", "--checkpoint", wanted]) == 0
        assert f"gymnax/Pendulum-v1 {said}: return " in capsys.readouterr().out
        folder = tmp_path / wanted
        words = ["export", str(run), "--checkpoint", wanted, "--formats", "numpy", "--output", str(folder)]
        assert cli.main(words) == 0
        assert said in capsys.readouterr().out
        with np.load(folder / "policy.npz") as arrays:
            kept = [np.asarray(leaf) for leaf in params(choose(run, "best", print)).values()]
            assert all(any(np.array_equal(arrays[name], leaf) for leaf in kept) for name in arrays if "kernel" in name)
    assert cli.main(["evaluate", str(run), "--episodes", "2"]) == 0
    assert "after 480 steps (" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "export", "watch"])
@pytest.mark.parametrize("wanted", ["81", "bset"])
def test_a_checkpoint_that_is_not_kept_is_one_line_and_nothing_is_written(command, wanted, trained, capsys):
    run = trained[0]
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert cli.main([command, str(run), "--checkpoint", wanted]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("there are those of the steps 0, 80, 160, 240, 320, 400, 480")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_run_of_an_older_version_goes_on_and_finds_a_best_of_its_own(trained, tmp_path, monkeypatch, capsys):
    """Its progress has no step of the best evaluation, and no folder has its policy."""
    run = tmp_path / "run"
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, "stepped:8:term")
    assert cli.main(["train", *TINY, "--run-dir", str(run)]) == 75
    monkeypatch.delenv(VARIABLE)
    for path in best_policy.kept(run / CHECKPOINTS):
        shutil.rmtree(path)
    newest = checkpoint.complete(run / CHECKPOINTS)[-1]
    manifest = json.loads((newest / "manifest.json").read_text())["manifest"]
    for name in ("evaluation", "best_step"):
        del manifest["progress"][name]
    manifest["progress"]["best"] = 1e6
    (newest / "manifest.json").unlink()
    checkpoint.write_manifest(newest, {name: manifest[name] for name in ("step", "progress", "arrays")})
    assert cli.main(["resume", str(run)]) == 0
    assert "an older version kept no policy of the evaluations so far" in capsys.readouterr().out
    assert kills.fingerprint(run).runner == kills.fingerprint(trained[0]).runner
    evaluated = manifest["progress"]["evaluated"]
    later = {step: mean for step, mean in evaluations(run).items() if step > evaluated}
    assert choose(run, "best", print).step == max(later, key=later.get)

"""An environment that never ends: its evaluations are told about, limited, left out, or stopped."""

import contextlib
import json
import shlex

import gymnasium
import numpy as np
import pytest

from ddpg_jax import envs
from ddpg_jax.config import TrainConfig
from ddpg_jax.runs import driver, evaluations
from ddpg_jax.runs.commands import evaluate as evaluate_command
from ddpg_jax.runs.commands import train as train_command
from ddpg_jax.runs.console import cli, progress
from ddpg_jax.runs.storage import run_state
from ddpg_jax.runs.storage.run_state import Progress


class Endless(gymnasium.Env):
    """A step earns 1, for ever."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


gymnasium.register("Endless-v0", entry_point=Endless)
TINY = [
    "--env", "Endless-v0", "--agent.hidden-sizes", "8", "--replay.capacity", "500", "--replay.batch-size", "8",
    "--train.total-steps", "120", "--train.start-steps", "20", "--train.update-after", "20",
    "--train.probe-every", "0", "--train.eval-every", "60", "--train.eval-episodes", "2",
    "--train.final-eval-episodes", "3",
]  # fmt: skip


def rows(run, kind="evaluation"):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def settings(run):
    return json.loads((run / "config.json").read_text())["config"]["train"]


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A finished run whose evaluations are cut after 50 steps."""
    run = tmp_path_factory.mktemp("endless") / "run"
    assert cli.main(["train", *TINY, "--train.eval-steps", "50", "--run-dir", str(run)]) == 0
    return run


def test_episodes_are_cut_and_count_as_they_are(limited):
    assert [(row["step"], row["lengths"]) for row in rows(limited)] == [(60, [50] * 2), (120, [50] * 3)]
    assert [row["returns"] for row in rows(limited)] == [[50.0] * 2, [50.0] * 3]
    assert "3 cut at 50 steps" in (limited / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "limit"), [([], "train.eval_steps = 50"), (["--max-steps", "30"], "--max-steps = 30")]
)
def test_evaluate_has_the_limit_of_the_run_or_one_of_its_own(limited, options, limit, capsys):
    assert cli.main(["evaluate", str(limited), "--episodes", "4", *options]) == 0
    out = capsys.readouterr().out
    assert f"return {limit.split()[-1]}.0 +- 0.0" in out
    assert f"; 4 of them cut at {limit}, where their return counts as it is)" in out


def stops_when(told, words):
    """`stop_requests` that asks to stop once some words were said."""
    return lambda: contextlib.nullcontext(lambda: any(words in line for line in told))


def test_a_run_without_a_limit_says_so_can_be_stopped_and_goes_on_with_one(tmp_path, monkeypatch, capsys):
    run, told = tmp_path / "run", []
    monkeypatch.setattr(progress, "PATIENCE", 2_000)
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    with monkeypatch.context() as patch:
        print_line = driver.print_line
        patch.setattr(driver, "print_line", lambda console, line: (told.append(line), print_line(console, line)))
        patch.setattr(train_command, "stop_requests", stops_when(told, "no episode"))
        assert cli.main(["train", *TINY, "--run-dir", str(run)]) == 75
    (line,) = told
    assert line.startswith("no episode of the evaluation ended in ")
    out = capsys.readouterr().out
    assert "evaluating: 0 of 2 episodes, " in out
    again = line.partition("go on with a limit: ")[2]
    assert again == f"ddpg-jax resume {run} --train.eval-steps 1000"
    monkeypatch.setattr(run_state, "MANY", 50)
    assert cli.main([*shlex.split(again)[1:-1], "40", "--train.final-eval-episodes", "0"]) == 0
    assert [(row["step"], row["lengths"]) for row in rows(run)] == [(60, [40] * 2), (120, [40] * 2)]
    kept = settings(run)["eval_steps"], settings(run)["final_eval_episodes"]
    assert kept == (40, 0), "for the next resume, and for the report"
    out = capsys.readouterr().out
    assert "2 of them cut at train.eval_steps = 40" in out, "a regular one, of the last policy"
    assert "the running episodes are played again, 60 steps" in out


def test_an_evaluation_by_itself_says_so_and_can_be_stopped(limited, tmp_path, monkeypatch, capsys):
    file = limited / "config.json"
    whole = file.read_text()
    values = json.loads(whole)
    values["config"]["train"]["eval_steps"] = None
    file.write_text(json.dumps(values))
    told, show = [], evaluate_command.print_line
    monkeypatch.setattr(progress, "PATIENCE", 2_000)
    monkeypatch.setattr(evaluate_command, "print_line", lambda console, line: (told.append(line), show(console, line)))
    monkeypatch.setattr(evaluate_command, "stop_requests", stops_when(told, "no episode"))
    assert cli.main(["evaluate", str(limited)]) == cli.INTERRUPTED
    file.write_text(whole)
    assert told[0].endswith("and it goes on; --max-steps 1000 would cut each")
    assert capsys.readouterr().err == "ddpg-jax: error: interrupted\n"


def test_the_final_evaluation_is_left_out(tmp_path, capsys):
    run = tmp_path / "run"
    options = ["--train.eval-every", "0", "--train.final-eval-episodes", "0", "--run-dir", str(run)]
    assert cli.main(["train", *TINY, *options]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-2] == (
        f"Endless-v0 after 120 steps: not evaluated, train.final_eval_episodes is 0; see: ddpg-jax evaluate {run}"
    )
    assert lines[-1] == f"report: {run}/report.html"
    assert rows(run) == []
    assert "train.final_eval_episodes is 0" in (run / "report.html").read_text()
    assert rows(run, "update")[-1]["step"] == 120
    assert cli.main(["resume", str(run)]) == 0
    assert "has already finished" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--train.eval-steps", "--train.final-eval-episodes"])
@pytest.mark.parametrize("value", ["-1", "x"])
def test_resume_refuses_limits_that_are_none(limited, option, value, capsys):
    before = (limited / "config.json").read_bytes()
    assert cli.main(["resume", str(limited), option, value]) == 2
    assert f"{option.removeprefix('--').replace('-', '_')} = " in capsys.readouterr().err
    assert (limited / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("final", "every", "step", "evaluated", "due", "over"),
    [
        (3, 60, 120, 60, True, False),
        (3, 0, 120, 120, False, True),
        (0, 0, 120, 0, False, True),
        (0, 60, 120, 60, True, False),
        (0, 60, 120, 120, False, True),
        (0, 70, 120, 70, False, True),
        (0, 0, 60, 0, False, False),
    ],
)
def test_without_a_final_evaluation_the_regular_ones_stay(final, every, step, evaluated, due, over):
    train = TrainConfig(total_steps=120, eval_every=every, final_eval_episodes=final)

    class State:
        progress = Progress(evaluated=evaluated)

    State.step = step
    assert evaluations.evaluation_due(train, State) is due
    assert driver.is_finished(train, State) is over


@pytest.mark.parametrize(
    ("env_id", "timeout", "max_steps", "length"),
    [
        ("Endless-v0", None, 7, 7),
        ("Endless-v0", 60.0, 7, 7),
        ("Pendulum-v1", None, 300, 200),
        ("gymnax/Pendulum-v1", None, 7, 7),
    ],
)
def test_the_lesser_of_two_limits_counts(env_id, timeout, max_steps, length):
    import jax
    import jax.numpy as jnp

    from ddpg_jax import make_evaluate

    with contextlib.closing(envs.make(env_id, 2, timeout, max_steps)) as env:
        result = make_evaluate(env, lambda params, obs: jnp.zeros((2, 1)), 4)(jax.random.key(0), None)
    assert result.lengths.tolist() == [length] * 4


def test_patience_ends_once_and_only_where_no_episode_ends():
    told = []
    wait = progress.make_stall_warning(told.append, "do this")
    for steps in range(0, 500_000, 50_000):
        wait(steps, steps // 50_000)
    assert told == []
    for steps in range(500_000, 900_000, 50_000):
        wait(steps, 9)
    assert told == ["no episode of the evaluation ended in 100,000 steps, and it goes on; do this"]

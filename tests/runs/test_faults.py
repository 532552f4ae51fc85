"""Environments, gradients and disks that fail while a run goes on: what is said, kept, and made anew."""

import json
import pathlib
import sys
from functools import partial

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Scripted, probe

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.runs import session
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.metrics import append_rows
from ddpg_jax.training import trainer

OPTIONS = {
    "agent.hidden-sizes": "8",
    "replay.capacity": "500",
    "replay.batch-size": "8",
    "replay.n-step": "3",
    "train.num-envs": "2",
    "train.total-steps": "240",
    "train.start-steps": "40",
    "train.update-after": "40",
    "train.log-every": "40",
    "train.eval-every": "0",
    "train.final-eval-episodes": "2",
}
NAN, HUGE, RAISE = float("nan"), 3e38, "the gripper is stuck"


class Fragile(Scripted):
    """Fails at chosen steps, counted over all of its kind that train; those that evaluate have another number."""

    fails_at: dict = {}  # noqa: RUF012
    steps = 0

    def step(self, action):
        Fragile.steps += 1
        obs, reward, terminated, truncated, info = super().step(action)
        failure = self.fails_at.get(Fragile.steps, self.fails_at.get("always", reward))
        if failure == RAISE:
            raise RuntimeError(RAISE)
        return obs, failure, terminated, truncated, info


gymnasium.register("Fragile-v0", entry_point=Fragile)


def train(run, fails_at, env="Fragile-v0", **changes):
    Fragile.fails_at, Fragile.steps = fails_at, 0
    options = OPTIONS | {name.replace("__", "."): value for name, value in changes.items()}
    flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    return cli.main(["train", "--env", env, "--run-dir", str(run), *flags])


def rows(run, kind):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


@pytest.mark.parametrize(("failure", "words"), [(RAISE, RAISE), (NAN, "gave a reward that is not finite")])
def test_a_failure_says_where_and_everything_is_saved_and_goes_on(tmp_path, capsys, failure, words):
    run = tmp_path / "run"
    assert train(run, {131: failure}) == 3
    error = capsys.readouterr().err
    assert words in error
    for part in (
        "environment 0 ",
        " in episode ",
        "(seed ",
        " of it, on the action [",
        "everything is saved after 130",
    ):
        assert part in error, error
    assert error.strip().endswith(f"continue with: ddpg-jax resume {run}")
    assert error.count("\n") == 1
    assert checkpoint.newest(run, print).step == 130
    Fragile.fails_at = {}
    assert cli.main(["resume", str(run)]) == 0
    assert rows(run, "restart") == [], "every environment stood where it had stood"
    assert rows(run, "update")[-1]["step"] == 240


@pytest.mark.parametrize("failure", [RAISE, NAN])
def test_with_retries_it_is_made_anew_and_its_episode_cut(tmp_path, capsys, failure):
    run = tmp_path / "run"
    assert train(run, {101: failure, 160: failure}, env_retries=2) == 0
    restarts = rows(run, "restart")
    assert restarts[0]["step"] == 100
    assert len(restarts) == 2
    assert "made anew (1 of 2 retries)" in capsys.readouterr().out
    lengths = [row["length"] for row in rows(run, "episode")]
    assert set(lengths) <= {3, 4, 5}, "no episode goes on across the cut"


def test_one_failure_more_than_there_are_retries_ends_the_run(tmp_path, capsys):
    assert train(tmp_path / "run", {"always": RAISE}, env_retries=2) == 3
    assert RAISE in capsys.readouterr().err


def test_a_compiled_world_cannot_be_made_anew_and_what_was_learned_is_saved(tmp_path, monkeypatch, capsys):
    def make(config, num_envs=1, max_steps=None):
        world = probe(lambda obs, action: jnp.where(obs > 50, jnp.nan, 0.0), 100, lambda time, sign: time)
        return world(num_envs)

    monkeypatch.setattr(session, "make_env", make)
    run = tmp_path / "run"
    assert train(run, {}, env="gymnax/Nan-v0", env_retries=3, preset="default") == 3
    assert "gave a reward that is not finite" in capsys.readouterr().err
    assert checkpoint.newest(run, print).step == 102


def test_a_failure_in_an_evaluation_keeps_what_was_learned(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, {245: RAISE}) == 3
    assert "in an evaluation: environment 4 failed" in capsys.readouterr().err
    assert checkpoint.newest(run, print).step == 240
    assert train(tmp_path / "other", {245: RAISE}, env_retries=1) == 0


def test_gradients_that_stay_non_finite_end_the_run_with_finite_parameters(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, {"always": HUGE}, train__max_skipped_updates=7) == 4
    error = capsys.readouterr().err
    assert "7 updates in a row were skipped, since a gradient was not finite" in error
    assert f"ddpg-jax resume {run}" in error
    found = checkpoint.newest(run, print)
    from benchmarks.durability.kills import read_arrays

    arrays = read_arrays(found)
    assert all(np.isfinite(value).all() for name, value in arrays.items() if "params" in name)
    assert arrays["agent.skipped.total"] == 7


def test_a_memory_that_does_not_fit_is_refused_with_the_size_that_would(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, {}, replay__capacity=2_000_000_000) == 2
    error = capsys.readouterr().err
    assert "replay.capacity = 2000000000 needs " in error
    assert "would fit" in error
    assert not run.exists()


def test_rows_that_the_disk_does_not_take_are_a_storage_fault():
    with pytest.raises(StorageError, match="/dev/full cannot be written: No space left on device"):
        append_rows(pathlib.Path("/dev/full"), [{"kind": "episode"}])


class Sleepy(Scripted):
    """Hangs at its 30th step."""

    def step(self, action):
        import time

        self.count = getattr(self, "count", 0) + 1
        if self.count == 30:
            time.sleep(600)
        return super().step(action)


def test_an_environment_that_hangs_is_found(tmp_path, capsys):
    gymnasium.register("Sleepy-v0", entry_point=Sleepy)
    run = tmp_path / "run"
    assert train(run, {}, env="Sleepy-v0", env_timeout=2, train__num_envs=1) == 3
    error = capsys.readouterr().err
    assert "no answer within 2" in error
    assert checkpoint.newest(run, print).step == 29


class Leaving(Scripted):
    """Does `leave()` in its step of that number, counted over all of its kind, and in its close."""

    leave, leaves_at, steps, resets_at, resets = None, 0, 0, 0, 0

    def step(self, action):
        Leaving.steps += 1
        if Leaving.steps == self.leaves_at:
            Leaving.leave()
        return super().step(action)

    def reset(self, *, seed=None, options=None):
        Leaving.resets += 1
        if Leaving.resets == self.resets_at:
            Leaving.leave()
        return super().reset(seed=seed)

    def close(self):
        if Leaving.leave:
            Leaving.leave()


gymnasium.register("Leaving-v0", entry_point=Leaving)


def interrupt():
    raise KeyboardInterrupt


def leave(how, step=0, reset=0):
    Leaving.leave, Leaving.leaves_at, Leaving.steps = staticmethod(how) if how else None, step, 0
    Leaving.resets_at, Leaving.resets = reset, 0


WAYS = {"exit": (sys.exit, 3), "interrupt": (interrupt, 75)}


@pytest.mark.parametrize(("name", "at", "step"), [("exit", 131, 130), ("exit", 245, 240), ("interrupt", 245, 240)])
def test_an_environment_that_exits_costs_nothing_and_an_interrupt_in_it_is_a_stop(tmp_path, capsys, name, at, step):
    how, code = WAYS[name]
    run = tmp_path / "run"
    leave(how, step=at)
    assert train(run, {}, env="Leaving-v0") == code
    told = capsys.readouterr()
    text = told.err if code == 3 else told.out
    assert f"everything is saved after {step} steps; continue with: ddpg-jax resume {run}" in text
    assert "Traceback" not in told.err
    assert ("in an evaluation: " in text) == (step == 240)
    assert checkpoint.newest(run, print).step == step


def test_an_exit_may_be_retried_and_an_interrupt_never_is(tmp_path, capsys):
    leave(sys.exit, step=131)
    assert train(tmp_path / "run", {}, env="Leaving-v0", env_retries=1) == 0
    assert "SystemExit; made anew (1 of 1 retries)" in capsys.readouterr().out
    run = tmp_path / "other"
    leave(interrupt, step=131)
    assert train(run, {}, env="Leaving-v0", env_retries=1) == 75
    leave(None)
    assert cli.main(["resume", str(run)]) == 0
    assert rows(run, "restart") == [], "every environment stood where it had stood"


def test_one_that_exits_in_its_first_reset_is_told_before_anything_is_written(tmp_path, capsys):
    leave(sys.exit, reset=1)
    assert train(tmp_path / "run", {}, env="Leaving-v0") == 2
    error = capsys.readouterr().err
    assert "environment 0 failed in episode 0 (seed " in error
    assert "on its reset: SystemExit" in error
    leave(interrupt, reset=1)
    assert train(tmp_path / "run", {}, env="Leaving-v0") == 130
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", WAYS)
def test_one_that_exits_while_its_episode_is_played_again_begins_anew_or_stops(tmp_path, capsys, name):
    how, code = WAYS[name]
    run = tmp_path / "run"
    leave(sys.exit, step=131)
    assert train(run, {}, env="Leaving-v0") == 3
    leave(how, reset=1)
    assert cli.main(["resume", str(run)]) == (0 if code == 3 else code)
    out = capsys.readouterr().out
    assert "does not stand where it stood after" in out or "while it was brought back: environment 0 failed" in out
    # The evaluate command says it, too.
    for how, code, words in (
        (sys.exit, 3, "environment 1 failed in episode 0 (seed "),
        (interrupt, 130, "ddpg-jax: error: interrupted"),
    ):
        leave(how, step=5)
        assert cli.main(["evaluate", str(run), "--episodes", "3"]) == code
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_a_process_of_its_own_exits_and_interrupts_alike(tmp_path, capsys):
    for how, code in ((sys.exit, 3), (interrupt, 75)):
        leave(how)  # known to the processes, which import this module anew
        run = tmp_path / how.__name__
        env = f"Leaving-{how.__name__}-v0"
        gymnasium.register(env, entry_point=partial(Quitting, how))
        assert train(run, {}, env=env, env_timeout=20, train__num_envs=1) == code
        told = capsys.readouterr()
        assert "everything is saved after 29 steps" in told.out + told.err
        assert checkpoint.newest(run, print).step == 29


class Quitting(Scripted):
    """Leaves in its 30th step."""

    def __init__(self, how):
        self.how, self.count = how, 0

    def step(self, action):
        self.count += 1
        if self.count == 30:
            self.how()
        return super().step(action)


def test_a_reward_in_an_evaluation_that_is_not_finite_ends_the_run_with_its_moment(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, {245: NAN}) == 3
    error = capsys.readouterr().err
    assert "in an evaluation: environment 4 gave a reward that is not finite in float32 in step 1 of episode 0" in error
    assert "it is in episode 0 (seed " in error
    assert checkpoint.newest(run, print).step == 240
    Fragile.fails_at = {}
    assert cli.main(["resume", str(run)]) == 0
    Fragile.fails_at, Fragile.steps = {5: NAN}, 0
    assert cli.main(["evaluate", str(run), "--episodes", "3"]) == 3
    error = capsys.readouterr().err
    assert "environment 1 gave a reward that is not finite in float32 in step 2 of episode 0" in error
    assert strict_rows(run)


def test_an_actor_that_is_not_finite_ends_the_run_as_a_numerical_fault(tmp_path, capsys, monkeypatch):
    def broken(spec, config, *rest):
        agent = ddpg(spec, config, *rest)
        return agent._replace(act=lambda params, obs: agent.act(params, obs) * jnp.nan)

    monkeypatch.setattr(trainer, "ddpg", broken)
    run = tmp_path / "run"
    assert train(run, {}) == 4
    error = capsys.readouterr().err
    assert "an action was not finite after step 40, and was not taken" in error
    assert Fragile.steps == 40 // 2 * 2, "no environment has seen it"
    assert checkpoint.newest(run, print).step == 40


def strict_rows(run):
    """The rows of a run, read as JSON's standard has it."""

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


def test_returns_that_overflow_are_null_and_every_file_is_json(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, {"always": HUGE}, train__max_skipped_updates=100_000) == 3
    assert "in an evaluation: environment 0 gave rewards whose sum is not finite" in capsys.readouterr().err
    returns = [row["return"] for row in strict_rows(run) if row["kind"] == "episode"]
    assert returns
    assert set(returns) == {None}
    for file in run.rglob("*.json"):
        assert "Infinity" not in file.read_text(), file
        assert "NaN" not in file.read_text(), file
    assert cli.main(["report", str(run)]) == 0

"""Environments, gradients and disks that fail while a run goes on: what is said, kept, and made anew."""

import json
import pathlib

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Scripted, probe

from ddpg_jax.runs import checkpoint, cli, driver
from ddpg_jax.runs.errors import StorageError
from ddpg_jax.runs.metrics import append_rows

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
    def make(env_id, num_envs=1, timeout=None):
        world = probe(lambda obs, action: jnp.where(obs > 50, jnp.nan, 0.0), 100, lambda time, sign: time)
        return world(num_envs)

    monkeypatch.setattr(driver.envs, "make", make)
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

"""Settings with which nothing is learned are refused; those with which little is are said."""

import re
import shlex
from dataclasses import replace

import numpy as np
import pytest

from ddpg_jax.config import Config, ConfigError, TrainConfig, num_updates, validate
from ddpg_jax.presets import PRESETS
from ddpg_jax.runs.check_updates import check_updates, few_updates, no_batch, no_update
from ddpg_jax.runs.commands import train as train_command
from ddpg_jax.runs.console import cli

TINY = [
    "--agent.hidden-sizes", "8", "--replay.capacity", "1000", "--replay.batch-size", "8", "--train.total-steps", "600",
    "--train.start-steps", "100", "--train.update-after", "100", "--train.final-eval-episodes", "1",
]  # fmt: skip


def change(config=Config(), **sections):  # noqa: B008
    return replace(config, **{name: replace(getattr(config, name), **to) for name, to in sections.items()})


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_learns_in_its_own_steps(name):
    check_updates(PRESETS[name].config)
    assert few_updates(PRESETS[name].config.train) == ()


NONE = [
    (
        {"train": {"total_steps": 20_000, "start_steps": 25_000, "update_after": 25_000}},
        "train.update_after = 25000 leaves no update in train.total_steps = 20000; try --train.start-steps 1000 "
        "--train.update-after 1000, or --train.total-steps 25001 or more",
    ),
    (
        {"train": {"total_steps": 1_000, "start_steps": 0, "update_after": 1_000}},
        "train.update_after = 1000 leaves no update in train.total_steps = 1000; try --train.update-after 100, or "
        "--train.total-steps 1001 or more",
    ),
    (
        {"train": {"total_steps": 16, "start_steps": 0, "update_after": 9, "num_envs": 8}},
        "train.update_after = 9 leaves no update in train.total_steps = 16 of train.num_envs = 8 environments; try "
        "--train.update-after 1, or --train.total-steps 24 or more",
    ),
    (
        {"train": {"total_steps": 5, "start_steps": 0, "update_after": 1, "num_envs": 8}},
        "train.update_after = 1 leaves no update in train.total_steps = 5 of train.num_envs = 8 environments; try "
        "--train.total-steps 16 or more",
    ),
    (
        {"agent": {"policy_delay": 3}, "train": {"total_steps": 1_002, "start_steps": 0}},
        "agent.policy_delay = 3 leaves the actor no update among the 2 of train.total_steps = 1002 with "
        "train.update_after = 1000; try --train.update-after 100, or --train.total-steps 1003 or more",
    ),
    (
        {"train": {"total_steps": 2**31 - 1, "start_steps": 0, "update_after": 2**31 - 1}},
        "train.update_after = 2147483647 leaves no update in train.total_steps = 2147483647; try "
        "--train.update-after 1000",
    ),
]


@pytest.mark.parametrize(("sections", "line"), NONE)
def test_settings_that_leave_no_update_are_named_with_some_that_do(sections, line):
    config = change(**sections)
    assert no_update(config) == line
    for way in re.split(r", or |; try ", line)[1:]:
        words = shlex.split(way.removesuffix(" or more"))
        values = {
            flag.removeprefix("--train.").replace("-", "_"): int(v)
            for flag, v in zip(words[::2], words[1::2], strict=True)
        }
        assert no_update(change(config, train=values)) is None, way
    validate(config)  # a trainer that only collects may be made of them


@pytest.mark.parametrize("delay", [1, 2])
def test_an_update_in_the_very_last_step_is_one(delay):
    config = change(agent={"policy_delay": delay}, train={"total_steps": 1_000 + delay})
    assert num_updates(config.train, config.train.total_steps) == delay
    assert no_update(config) is None


def test_a_batch_that_the_memory_never_holds_is_refused():
    config = change(replay={"batch_size": 301}, train={"total_steps": 300, "update_after": 100})
    with pytest.raises(
        ConfigError, match=r"^replay.batch_size = 301 is never reached in train.total_steps = 300; lower"
    ):
        check_updates(config)
    check_updates(change(config, replay={"batch_size": 300}))
    assert no_batch(config, demonstrations=1) is None
    assert "and 2 demonstrations" in no_batch(change(config, replay={"batch_size": 303}), demonstrations=2)


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({}, []),
        ({"num_envs": 2}, []),
        ({"num_envs": 8, "updates_per_step": 4}, []),
        (
            {"total_steps": 10_000, "num_envs": 8},
            [
                "Only 1,125 updates in 10,000 environment steps: 8 environments share 1 of them",
                "--train.updates-per-step 8 makes one for each environment step.",
            ],
        ),
        (
            {"total_steps": 30_000, "start_steps": 25_000, "update_after": 25_000},
            ["Only 5,000 updates in 30,000 environment steps: the first comes after 25,000; --train.update-after sets"],
        ),
        (
            {"total_steps": 20_000, "update_after": 25_000},
            ["No update in 20,000 environment steps: train.update_after is 25,000."],
        ),
    ],
)
def test_few_updates_are_said_with_the_setting_that_makes_more(train, words):
    said = " ".join(few_updates(TrainConfig(**train)))
    assert all(word in said for word in words)
    assert bool(said) == bool(words)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            "--preset td3_repository --train.total-steps 20000",
            ("train.update_after = 25000", "train.total_steps = 20000"),
        ),
        ("--preset fujimoto2018 --train.total-steps 1000", ("train.update_after = 1000", "train.total_steps = 1000")),
        ("--replay.batch-size 700", ("replay.batch_size = 700", "train.total_steps = 600")),
    ],
)
def test_train_refuses_before_anything_is_made(options, named, tmp_path, capsys):
    path = tmp_path / "run"
    before = TINY if "batch" in options else []
    assert cli.main(["train", *before, *options.split(), "--run-dir", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(name in error for name in named), error
    assert not path.exists()


def test_demonstrations_may_fill_the_batch_or_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_command, "start", lambda *given: None)
    monkeypatch.setattr(train_command, "train_to_end", lambda *given: 0)
    steps = {"obs": np.zeros((4, 3)), "action": np.zeros((4, 1)), "reward": np.zeros(4), "next_obs": np.zeros((4, 3))}
    ends = {"terminated": np.zeros(4, bool), "truncated": np.zeros(4, bool)}
    np.savez(tmp_path / "steps.npz", **{name: value.astype(np.float32) for name, value in steps.items()}, **ends)
    path, few = tmp_path / "run", ["--train.total-steps", "60", "--train.update-after", "10"]
    given = ["--demonstrations", str(tmp_path / "steps.npz"), "--run-dir", str(path)]
    assert cli.main(["train", *TINY, *few, "--replay.batch-size", "65", *given]) == 2
    assert "replay.batch_size = 65 is never reached in train.total_steps = 60 and 4 demo" in capsys.readouterr().err
    assert not path.exists()
    assert cli.main(["train", *TINY, *few, "--replay.batch-size", "64", *given]) == 0


def test_a_run_with_few_updates_says_so_at_its_start_and_in_its_verdict(tmp_path, capsys):
    path = tmp_path / "run"
    options = ["--train.num-envs", "8", "--train.final-eval-episodes", "1", "--train.eval-every", "0"]
    assert cli.main(["train", *TINY, *options, "--run-dir", str(path)]) == 0
    line = "Only 62 updates in 600 environment steps: 8 environments share 1 of them per step; "
    out = capsys.readouterr().out
    assert out.index(line) < out.index("replay memory")
    page = (path / "report.html").read_text()
    assert line in page
    assert "--train.updates-per-step 8 (it is 1)" in page

"""Names that people bring along are answered with ours."""

import re

import pytest

from ddpg_jax.config import Config
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.console.flags import section_flags
from ddpg_jax.runs.console.hints import named_flags, remedy
from ddpg_jax.runs.console.peer_names import PEER_NAMES

SETTINGS = list(dict(section_flags(Config())))
KNOWN = [*SETTINGS, "--preset", "--run-dir", "--import"]


@pytest.mark.parametrize("name", PEER_NAMES)
def test_each_name_leads_to_flags_of_train_and_is_none_of_them(name):
    assert named_flags(PEER_NAMES[name]) <= set(KNOWN)
    assert name not in {flag.rpartition(".")[2] for flag in SETTINGS}, "it would be found without this table"
    assert re.fullmatch(r"(here|JAX) [^.]*[^., ]|here [^ ].*", PEER_NAMES[name])
    assert name == name.lower().replace("_", "-").strip("-")


# What a person types -> flags that the answer names.
TYPED = {
    "--lr": ["--agent.actor-lr", "--agent.critic-lr"],
    "--learning_rate": ["--agent.actor-lr", "--agent.critic-lr"],
    "--gamma": ["--replay.discount"],
    "--buffer-size": ["--replay.capacity"],
    "--batch-size": ["--replay.batch-size"],
    "--total-timesteps": ["--train.total-steps"],
    "-n": ["--train.total-steps"],
    "--n-envs": ["--train.num-envs"],
    "--num-envs": ["--train.num-envs"],
    "--learning-starts": ["--train.start-steps", "--train.update-after"],
    "--train-freq": ["--train.updates-per-step"],
    "--gradient-steps": ["--train.updates-per-step"],
    "--noise-std": ["--exploration.stddev"],
    "--exploration-noise": ["--exploration.stddev"],
    "--act-noise": ["--exploration.stddev"],
    "--policy-frequency": ["--agent.policy-delay"],
    "--env-id": ["--env"],
    "--algo": ["--preset"],
    "--polyak": ["--agent.tau"],
    "--start-steps": ["--train.start-steps"],
    "--hid": ["--agent.hidden-sizes"],
    "--epochs": ["--train.total-steps"],
    "--tau": ["--agent.tau"],
    "--dt": ["--exploration.dt"],
}


def test_what_people_bring_along_is_answered_in_one_line_each(tmp_path, capsys):
    words = [word for name in TYPED for word in (name, "1")]
    assert cli.main(["train", *words, "--run-dir", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(TYPED)
    for line, (name, flags) in zip(lines, TYPED.items(), strict=True):
        begin = f"ddpg-jax: error: option {name} is unknown; "
        assert line.startswith(begin)
        assert sorted(set(re.findall(r"--[a-z.-]+", line.removeprefix(begin)))) >= sorted(flags), line
    assert not (tmp_path / "run").exists()


def test_a_name_is_not_answered_with_flags_that_the_command_lacks():
    assert remedy("--total-timesteps", KNOWN, "train") == "here it is --train.total-steps"
    assert remedy("--total-timesteps", ["--episodes"], "evaluate") == "see ddpg-jax evaluate --help"
    assert remedy("--device", [], "evaluate").startswith("JAX takes the accelerator")


def test_a_value_is_no_option_and_has_no_name():
    assert remedy("lr", KNOWN, "train") == "see ddpg-jax train --help"
    assert cli.main(["train", "--agent.tau", "-0.1"]) == 2

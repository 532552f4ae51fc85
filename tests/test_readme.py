"""Every command of the README is run, for a few steps; its examples in Python are run by `test_api.py`.

What two of them reach in full is asked by `python -m benchmarks.readme`.
"""

import importlib.util
import re
import shlex
import shutil
import sys

import pytest

from benchmarks.readme import REACHED, README, TASKS, commands, full_trainings
from ddpg_jax.config import Config, num_updates
from ddpg_jax.runs.check_updates import check_updates, few_updates
from ddpg_jax.runs.commands import train as train_command
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.console.flags import section_flags
from ddpg_jax.runs.storage import checkpoint

FEW = [
    "--agent.hidden-sizes", "8", "--replay.capacity", "1000", "--replay.batch-size", "8", "--train.total-steps", "80",
    "--train.start-steps", "40", "--train.update-after", "40", "--train.eval-every", "0", "--train.probe-every", "0",
    "--train.final-eval-episodes", "0",
]  # fmt: skip
COMMANDS = commands()
TRAINED = [words for words in COMMANDS if words[0] == "train"]
LATER = [words for words in COMMANDS if words[0] != "train"]
# What a command needs beside the package itself: a word of it, and a module.
NEEDS = {
    "gymnax/": "gymnax", "HalfCheetah": "mujoco", "Hopper": "mujoco", "LunarLander": "Box2D",
    "Fetch": "gymnasium_robotics", "watch": "imageio_ffmpeg", "dmc/": "shimmy", "playground/": "mujoco_playground",
}  # fmt: skip


def needed(words):
    """Skip where a package is really missing."""
    for word, module in NEEDS.items():
        if word in " ".join(words) and importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def name(words):
    return " ".join(words)[:60]


def test_the_readme_has_commands_of_every_kind():
    assert {words[0] for words in COMMANDS} == set(cli.COMMANDS) - {"live"}, "which needs one that trains"
    assert len(full_trainings()) == len(TASKS)
    assert f"{REACHED:g}" in README.read_text()


@pytest.mark.parametrize("words", TRAINED, ids=name)
def test_every_training_in_full_makes_about_an_update_a_step(words, monkeypatch, tmp_path, capsys):
    """What is asked before a run begins, of the settings as they stand there."""
    needed(words)
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(train_command, "prepare", lambda config: asked.append(config) or check_updates(config))
    with pytest.raises(AttributeError):  # nothing was made
        cli.main(words)
    (config,) = asked
    assert few_updates(config.train) == ()
    assert num_updates(config.train, config.train.total_steps) >= config.train.total_steps / 2


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


@pytest.mark.parametrize("words", TRAINED, ids=name)
def test_every_training_runs(words, place, monkeypatch, capsys):
    needed(words)
    monkeypatch.chdir(place)
    assert cli.main([*words, *FEW]) == 0, capsys.readouterr().err
    assert "after 80 steps: not evaluated" in capsys.readouterr().out


EXAMPLES = [words.split() for words in re.findall(r"`((?:--import \w+ )?--env [^`]+)`", README.read_text())]
MY_ENVS = """
from gymnasium.envs.classic_control.pendulum import PendulumEnv as MyEnv
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """The file of a person's own that is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_envs", raising=False)  # one of another test
    (tmp_path / "my_envs.py").write_text(MY_ENVS)


@pytest.mark.parametrize("words", EXAMPLES, ids=name)
@pytest.mark.usefixtures("own_file")
def test_every_environment_that_is_named_can_be_trained_on(words, capsys):
    needed(words)
    assert cli.main(["train", *words, *FEW]) == 0, capsys.readouterr().err


def test_an_environment_of_each_kind_is_named():
    kinds = {words[-1].partition("-v")[0] for words in EXAMPLES}
    assert {"MountainCarContinuous", "Hopper", "FetchReach", "gymnax/Pendulum", "my_envs.py:MyEnv"} <= kinds


@pytest.fixture
def runs(place, monkeypatch):
    """The directories that later commands name: the one that the README trained, and copies of it."""
    monkeypatch.chdir(place)
    if not (place / "runs" / "a").exists():
        pytest.skip("mujoco is not installed")
    for other in "bc":
        shutil.copytree(place / "runs" / "a", place / "runs" / other, dirs_exist_ok=True)
    return place / "runs"


@pytest.mark.parametrize("words", LATER, ids=name)
def test_every_other_command_runs(words, runs, capsys):
    needed(words)
    if words[0] == "resume":
        shutil.rmtree(checkpoint.complete(runs / "a" / "checkpoints")[-1])
    limit = ["--max-steps", "5"] if words[0] in ("evaluate", "watch", "card") else []
    code = cli.main([*words, *limit])
    error = capsys.readouterr().err
    if "HalfCheetah-v5 cannot draw" in error:
        pytest.skip("this machine has no library that MuJoCo draws with")
    assert code == 0, error


FLAGS = re.findall(r"`(?:ddpg-jax train )?(--[a-z][^`]*)`", README.read_text())
KNOWN = dict(section_flags(Config()))
SETTINGS = [flags for flags in FLAGS if flags.split()[0] in KNOWN and (" " in flags or KNOWN[flags] is False)]


@pytest.mark.parametrize("flags", SETTINGS)
@pytest.mark.usefixtures("own_file")
def test_every_setting_that_the_text_names_is_one_with_such_a_value(flags, tmp_path, capsys):
    """Only what is added here is wrong."""
    assert cli.main(["train", *shlex.split(flags), "--seed", "-1", "--run-dir", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "ddpg-jax: error: seed = -1 must be in [0, 2147483647]"


def test_the_text_names_no_setting_that_there_is_not():
    assert len(SETTINGS) > 20
    sections = tuple({name.partition(".")[0] + "." for name in KNOWN if "." in name})
    assert [flags for flags in FLAGS if flags.startswith(sections) and flags.split()[0] not in KNOWN] == []

"""Environments that cannot be made or begun: one line and exit code 2, whatever the command, and nothing is written."""

import contextlib
import sys

import gymnasium
import numpy as np
import pytest
from worlds import Scripted

from ddpg_jax import Config, DDPGConfig, ReplayConfig
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.session import prepare, start
from ddpg_jax.runs.storage.directory import create_run
from ddpg_jax.runs.storage.run_state import make_saver


class Moody(Scripted):
    """Does something at its making, and something at each reset."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012
    at_making = at_reset = staticmethod(lambda: None)

    def __init__(self, render_mode=None):
        self.at_making()

    def reset(self, *, seed=None, options=None):
        answer = self.at_reset()
        return super().reset(seed=seed, options=options) if answer is None else answer

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


class Old(Scripted):
    def step(self, action):
        return np.zeros(2), 0.0, False, {}


gymnasium.register("Moody-v0", entry_point=Moody)
gymnasium.register("Old-v0", entry_point=Old)
gymnasium.register("Norm-v0", entry_point=lambda: gymnasium.wrappers.NormalizeObservation(Scripted()))
gymnasium.register("Syntax-v0", entry_point="world_without_syntax:World")
gymnasium.register("Exits-v0", entry_point="world_that_exits:World")


def no_licence():
    raise RuntimeError("no licence\nask for one")


COMMANDS = {
    "train": ["train", "--env", "Moody-v0", "--run-dir", "new"],
    "resume": ["resume", "run"],
    "evaluate": ["evaluate", "run"],
    "watch": ["watch", "run"],
    "export": ["export", "run"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run at its first step, and modules that cannot be imported."""
    path = tmp_path_factory.mktemp("making")
    config = Config("Moody-v0", agent=DDPGConfig((8,)), replay=ReplayConfig(capacity=256))
    with contextlib.closing(prepare(config)) as session:
        create_run(path / "run", config, "default")
        make_saver(session.env, path / "run", config.checkpoint, 0)(start(session))
    (path / "run" / "lock").touch()
    (path / "world_without_syntax.py").write_text("def f(:\n")
    (path / "world_that_exits.py").write_text("import sys\n\nsys.exit('the dongle is missing')\n")
    return path


@pytest.fixture
def refused(folder, monkeypatch, capsys):
    """Run a command that must be refused, with nothing written; returns its line."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(*args, code=2):
        capsys.readouterr()
        before = sorted(folder.rglob("*"))
        assert cli.main(list(args)) == code
        assert sorted(folder.rglob("*")) == before
        (line,) = capsys.readouterr().err.splitlines()
        assert line.isprintable()
        return line.removeprefix("ddpg-jax: error: ")

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_constructor_raises_is_one_line(command, refused, monkeypatch):
    monkeypatch.setattr(Moody, "at_making", staticmethod(no_licence))
    line = refused(*COMMANDS[command])
    assert line == "environment 'Moody-v0' cannot be made: RuntimeError: no licence ask for one"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            "Syntax-v0",
            "environment 'Syntax-v0' cannot be made: SyntaxError: invalid syntax (world_without_syntax.py, line 1)",
        ),
        ("Exits-v0", "environment 'Exits-v0' cannot be made: SystemExit: the dongle is missing"),
        ("Old-v0", "Old-v0 cannot be stepped: its step gives (obs, reward, done, info), as gym before 0.26 did"),
        ("Norm-v0", "Norm-v0 keeps running statistics in NormalizeObservation"),
    ],
)
def test_what_a_module_raises_or_an_environment_is_not_is_one_line(env, message, refused):
    assert refused("train", "--env", env, "--run-dir", "new").startswith(message)


@pytest.mark.parametrize(("command", "code"), [("train", 2), ("evaluate", 3)])
def test_what_the_first_reset_shows_is_found_before_anything_is_written(command, code, refused, monkeypatch):
    monkeypatch.setattr(Moody, "at_reset", staticmethod(lambda: np.zeros(2)))
    flags = ["--agent.hidden-sizes", "8", "--replay.capacity", "300"] if command == "train" else []
    line = refused(*COMMANDS[command], *flags, code=code)
    assert "on its reset: ValueError: its reset does not give (obs, info), but a ndarray of shape (2,)" in line
    assert "shimmy" in line

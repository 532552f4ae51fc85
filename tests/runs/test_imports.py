"""Environments that a person names by their module, or without a version: every command knows the run afterwards."""

import contextlib
import io
import json
import pathlib
import shlex
import shutil
import sys

import gymnasium
import pytest

from ddpg_jax.config import Config
from ddpg_jax.envs import EnvError, import_modules, resolve
from ddpg_jax.runs.commands import train as commands
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.storage.directory import read_run
from ddpg_jax.runs.storage.named_code import Named

MODULE = """
import gymnasium
from gymnasium.envs.classic_control.pendulum import PendulumEnv
gymnasium.register("Mine-v2", entry_point=PendulumEnv, max_episode_steps=30)
gymnasium.register("Mine-v10", entry_point=PendulumEnv, max_episode_steps=20)
"""
TINY = [
    "--agent.hidden-sizes", "8", "--replay.capacity", "500", "--replay.batch-size", "8", "--train.total-steps", "120",
    "--train.start-steps", "20", "--train.update-after", "20", "--train.eval-every", "0", "--train.probe-every", "0",
    "--train.final-eval-episodes", "2",
]  # fmt: skip


def forget():
    """As in a new process: nothing of the module is known."""
    sys.modules.pop("my_worlds", None)
    for name in [name for name in gymnasium.registry if name.startswith("Mine")]:
        del gymnasium.registry[name]


@pytest.fixture
def worlds(tmp_path, monkeypatch):
    (tmp_path / "my_worlds.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    forget()
    yield tmp_path
    forget()


def settings(run):
    return json.loads((run / "config.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A whole run that `--env my_worlds:Mine` began, and what was printed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "my_worlds.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.syspath_prepend(folder)
        forget()
        assert cli.main(["train", "--env", "my_worlds:Mine", *TINY, "--run-dir", str(folder / "run")]) == 0
    forget()
    return folder / "run", out.getvalue()


@pytest.fixture
def run(trained, worlds):
    """A copy of it, where a path has to be quoted."""
    return pathlib.Path(shutil.copytree(trained[0], worlds / "a run"))


@pytest.fixture
def untrained(monkeypatch):
    """Runs end as soon as their directory is written."""
    monkeypatch.setattr(commands, "start", lambda *given: None)
    monkeypatch.setattr(commands, "train_to_end", lambda *given: 0)


def test_what_is_kept_of_a_run_is_the_registered_id(trained):
    run, out = trained
    assert settings(run)["config"]["env"] == "Mine-v10"
    assert settings(run)["imports"] == ["my_worlds"]
    assert out.startswith("Mine-v10, preset default")


@pytest.mark.parametrize("line", ["resume", "evaluate --episodes 1", "export --formats numpy", "card --episodes 1"])
def test_every_command_knows_a_run_whose_module_the_person_names_again(line, run, capsys):
    name, *options = line.split()
    args = [name, str(run), *options]
    assert cli.main(args) == 2
    error = capsys.readouterr().err
    assert "'Mine-v10', which is not registered here" in error
    assert error.endswith(f": ddpg-jax {name} '{run}' --import my_worlds\n")
    assert "my_worlds" not in sys.modules, "a file alone names it"
    assert cli.main([*args, "--import", "my_worlds"]) == 0


def test_a_report_needs_no_environment(run):
    assert cli.main(["report", str(run)]) == 0
    assert "my_worlds" not in sys.modules


def test_what_is_printed_to_go_on_goes_on(worlds, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(commands, "stop_requests", lambda: contextlib.nullcontext(lambda: True))
        assert cli.main(["train", "--import", "my_worlds", "--env", "Mine", *TINY, "--run-dir", "a run"]) == 75
    forget()
    again = shlex.split(capsys.readouterr().out.strip().splitlines()[-1].partition("continue with: ")[2])
    assert again == ["ddpg-jax", "resume", "a run", "--import", "my_worlds"]
    assert cli.main(again[1:]) == 0
    assert "Mine-v10 after 120 steps: return" in capsys.readouterr().out


def test_watch_plays_where_the_person_says(run, capsys):
    pytest.importorskip("imageio_ffmpeg")
    film = ["watch", str(run), "--episodes", "1", "--max-steps", "3"]
    assert cli.main(film) == 2
    assert f": ddpg-jax watch '{run}' --import my_worlds" in capsys.readouterr().err
    assert cli.main([*film, "--import", "my_worlds", "--env", "my_worlds:Mine"]) == 0
    assert "Mine-v10, policy after 120 steps" in capsys.readouterr().out


@pytest.mark.parametrize("env", ["Pendulum", "gymnasium:Pendulum-v1", "gymnasium:Pendulum"])
def test_an_id_without_version_is_kept_whole_and_has_its_preset(env, untrained, tmp_path, capsys):
    run = tmp_path / "run"
    assert cli.main(["train", "--env", env, "--run-dir", str(run)]) == 0
    assert settings(run)["config"]["env"] == "Pendulum-v1"
    assert settings(run)["preset"] == "pendulum"
    assert capsys.readouterr().out.startswith("Pendulum-v1, preset pendulum (tuned here")
    assert read_run(run).config.env == "Pendulum-v1", "which resume asks for"


def test_the_default_run_directory_names_the_registered_id(untrained, worlds):
    assert cli.main(["train", "--env", "my_worlds:Mine", *TINY]) == 0
    (run,) = (worlds / "runs").iterdir()
    assert run.name.startswith("Mine-v10-seed0-")


@pytest.mark.parametrize(
    ("env", "begins"),
    [("/a b/my_envs.py:MyEnv", "MyEnv-seed0-"), ("gymnax/Pendulum-v1", "gymnax-Pendulum-v1-seed0-")],
)
def test_the_default_run_directory_has_a_name_without_folders(env, begins):
    path = commands.default_run_dir(Config(env))
    assert path.parent == pathlib.Path("runs")
    assert path.name.startswith(begins)


@pytest.mark.parametrize(("named", "known"), [("my_worlds:Mine-v2", "Mine-v2"), ("Mine", "Mine-v10")])
def test_runs_of_older_versions_are_opened_where_a_person_names_their_module(named, known, run):
    values = settings(run)
    values["config"]["env"] = named
    del values["imports"]
    (run / "config.json").write_text(json.dumps(values))
    import_modules(["my_worlds"])
    assert read_run(run, Named(("my_worlds",))).config.env == known


def test_only_the_module_that_a_person_names_is_imported(run, capsys):
    values = settings(run)
    values["config"]["env"] = "antigravity:Mine-v2"
    (run / "config.json").write_text(json.dumps(values))
    assert cli.main(["evaluate", str(run), "--import", "my_worlds"]) == 2
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("imports", ["os.path; rm", 3, ["a b"], ["../x"], [""], [3], ["a."], "os"])
def test_modules_in_a_file_are_names_or_the_file_is_damaged(imports, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"config": {}, "imports": imports}))
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            None,
            "ModuleNotFoundError: No module named 'broken_worlds'; name it as Python's import does, its folder",
        ),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("raise RuntimeError('no\\nlicence')", "RuntimeError: no licence"),
        ("import sys; sys.exit(7)", "SystemExit: 7"),
        ("def", "SyntaxError: "),
    ],
)
@pytest.mark.parametrize(
    "options", [["--env", "broken_worlds:Mine-v0"], ["--import", "broken_worlds", "--env", "Pendulum-v1"]]
)
def test_a_module_that_cannot_be_imported_is_one_line(text, words, options, worlds, capsys):
    if text:
        (worlds / "broken_worlds.py").write_text(text)
    assert cli.main(["train", *options, "--run-dir", "run"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"module 'broken_worlds' cannot be imported: {words}" in error
    assert not (worlds / "run").exists()
    sys.modules.pop("broken_worlds", None)


def test_a_module_is_also_looked_for_here_and_last(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.chdir(tmp_path)
    for name in ("local_worlds", "gymnasium", "wave"):
        (tmp_path / f"{name}.py").write_text("HERE = True")
    import_modules(["local_worlds", "wave"])
    assert sys.modules.pop("local_worlds").HERE
    assert not hasattr(sys.modules["wave"], "HERE"), "what is installed comes first"


@pytest.mark.parametrize("name", ["", "a b", ".x", "a..b", "a:b", "../x", "a-b"])
def test_what_is_no_name_of_a_module_is_refused(name):
    with pytest.raises(EnvError, match="cannot be imported"):
        import_modules([name])


@pytest.mark.parametrize("env", ["Pendulum-v1", "gymnax/Pendulum-v1", "gymnax/a:b", "Nope", "", "a b", "Pendulum-v"])
def test_ids_that_stand_for_themselves_stay(env):
    assert resolve(env) == env

"""Environments of one's own from the command line: trained, resumed, evaluated, filmed and exported; and refused."""

import contextlib
import io
import json
import runpy
import shlex
import shutil
import sys

import numpy as np
import own_worlds
import pytest

import ddpg_jax as dj
from ddpg_jax.runs.commands import train as commands
from ddpg_jax.runs.console import cli

TINY = [
    "--agent.hidden-sizes", "8", "--replay.capacity", "500", "--replay.batch-size", "8", "--train.total-steps", "120",
    "--train.start-steps", "20", "--train.update-after", "20", "--train.eval-every", "0", "--train.probe-every", "0",
    "--train.final-eval-episodes", "2", "--train.eval-envs", "2",
]  # fmt: skip
SCALED = "my_envs.py:Scaled"
# Flags of the training, those to repeat, and what each step earns.
OWN = {
    "a class in a file": (
        ["--env", "my_envs.py:MyEnv", "--env-kwargs.g", "2", "--env-timeout", "60"],
        ["--env", "my_envs.py:MyEnv"],
        2.0,
    ),
    "a factory in a module": (["--env", "my_factory:make"], ["--env", "my_factory:make"], 3.0),
    "an id with arguments and wrappers": (
        ["--env", "my_worlds:MyOwn-v0", "--env-kwargs", '{"g": 4.0}', "--wrappers", "TimeAwareObservation",
         SCALED + ' {"factor": 0.5}'],
        ["--import", "my_worlds", "--wrappers", SCALED],
        4.0,
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with files of a person's own."""
    own_worlds.write(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    own_worlds.forget("marker")
    yield tmp_path
    own_worlds.forget("marker")


@pytest.fixture
def answers(folder, capsys):
    """Run a command as a new process would; its exit code, its output and its errors."""

    def run(*args):
        own_worlds.forget("marker")
        capsys.readouterr()
        code = cli.main(list(args))
        return code, *capsys.readouterr()

    return run


def settings(run):
    return json.loads((run / "config.json").read_text())["config"]


@pytest.mark.parametrize("kind", OWN)
def test_an_environment_of_ones_own_goes_from_training_to_export(kind, answers, folder, monkeypatch):
    pytest.importorskip("imageio_ffmpeg")
    flags, again, reward = OWN[kind]
    earned = f"return {20 * reward:.1f}"
    with monkeypatch.context() as patch:
        patch.setattr(commands, "stop_requests", lambda: contextlib.nullcontext(lambda: True))
        code, out, _ = answers("train", *flags, "--max-episode-steps", "20", *TINY, "--run-dir", "run")
    assert code == 75
    resume = shlex.split(out.strip().splitlines()[-1].partition("continue with: ")[2])
    assert resume == ["ddpg-jax", "resume", "run", *again]

    code, _, error = answers("resume", "run")
    assert code == 2
    assert "my_envs" not in sys.modules
    assert error.strip().endswith(shlex.join(again) if again[0] == "--env" else shlex.join(again[2:]))

    code, out, error = answers(*resume[1:])
    assert code == 0, error
    assert earned in out
    code, out, error = answers("evaluate", "run", "--episodes", "2", *again)
    assert code == 0, error
    assert f"{earned} +- 0.0" in out
    code, out, error = answers("watch", "run", "--episodes", "1", *again)
    assert code == 0, error
    assert f"{earned} after 20 steps, truncated" in out
    code, out, error = answers("export", "run", "--formats", "numpy", *again)
    assert code == 0, error
    assert "written to run/export" in out
    assert answers("report", "run")[0] == 0, "which needs no environment"
    assert "my_envs" not in sys.modules


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run of the class in a file, in its folder."""
    folder = tmp_path_factory.mktemp("trained")
    own_worlds.write(folder)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(sys, "path", [*sys.path])
        patch.chdir(folder)
        own_worlds.forget()
        flags = ["--env", "my_envs.py:MyEnv", "--max-episode-steps", "20", "--wrappers", SCALED]
        assert cli.main(["train", *flags, *TINY, "--run-dir", "run"]) == 0
    own_worlds.forget()
    return folder / "run"


@pytest.fixture
def run(trained, folder):
    return shutil.copytree(trained, folder / "run")


def test_all_of_it_is_data_in_the_settings(run):
    kept = settings(run)
    assert (kept["env"], kept["wrappers"], kept["max_episode_steps"]) == ("my_envs.py:MyEnv", [SCALED], 20)
    assert kept["env_kwargs"] == {}


def test_a_card_and_python_take_the_policy_where_the_code_is_named_again(run, answers):
    again = ["--env", "my_envs.py:MyEnv", "--wrappers", SCALED]
    code, out, error = answers("card", "run", "--episodes", "1", "--checkpoint", "best", *again)
    assert code == 0, error
    assert "card run/card/README.md" in out
    own_worlds.forget("marker")
    with pytest.raises(dj.ConfigError, match=r"code that a file alone never lets run; .*code=\['my_envs.py:MyEnv', "):
        dj.runs.load(run)
    assert "my_envs" not in sys.modules
    found = dj.runs.load(run, code=["my_envs.py:MyEnv", SCALED])
    assert found.agent.act(found.params.actor, np.zeros((1, 2))).shape == (1, 1)


@pytest.mark.parametrize("command", ["resume", "evaluate", "watch", "export", "card"])
@pytest.mark.parametrize("named", ["marker:World", "marker.py:World", "marker:Wrapper"])
def test_what_a_file_alone_names_is_not_imported(command, named, run, answers, folder):
    (folder / "marker.py").write_text("import pathlib\npathlib.Path('ran').touch()\nWorld = Wrapper = dict\n")
    text = json.loads((run / "config.json").read_text())
    changed = {"wrappers": [named]} if named.endswith("Wrapper") else {"env": named, "wrappers": []}
    text["config"] |= changed
    (run / "config.json").write_text(json.dumps(text))
    flags = f"--env my_envs.py:MyEnv --wrappers {named}" if changed.get("wrappers") else f"--env {named}"
    before = sorted(folder.rglob("*"))
    code, out, error = answers(command, "run")
    assert (code, out) == (2, "")
    assert error.strip().endswith(f"ddpg-jax {command} run {flags}")
    assert error.count("\n") == 1
    assert "marker" not in sys.modules
    assert sorted(folder.rglob("*")) == before
    assert not (folder / "ran").exists()


def test_a_file_that_was_moved_is_named_where_it_is_now(run, answers, folder):
    (folder / "new").mkdir()
    (folder / "my_envs.py").rename(folder / "new" / "my_envs.py")
    code, out, error = answers(
        "evaluate", "run", "--episodes", "1", "--env", "new/my_envs.py:MyEnv", "--wrappers", "new/my_envs.py:Scaled"
    )
    assert code == 0, error
    assert out.startswith("new/my_envs.py:MyEnv after 120 steps (evaluated in training: return 20.0): return 20.0")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--env my_factory:make", "the run was trained in 'my_envs.py:MyEnv', not in 'my_factory:make'"),
        ("--env Pendulum-v1", "the run was trained in 'my_envs.py:MyEnv', not in 'Pendulum-v1'"),
        ("--env my_envs.py:MyEnv --wrappers FlattenObservation", "the run has no wrapper 'FlattenObservation'"),
        ("--env my_envs.py:MyEnv", f"names '{SCALED}', code that a file alone never lets run"),
        (f"--wrappers {SCALED}", "names 'my_envs.py:MyEnv', code that a file alone never lets run"),
    ],
)
def test_other_code_than_that_of_the_run_is_refused(flags, message, run, answers):
    code, out, error = answers("evaluate", "run", *flags.split())
    assert (code, out) == (2, "")
    assert message in error
    assert error.count("\n") == 1


def test_an_adapter_that_imports_by_its_arguments_is_named_again_too(run, answers):
    text = json.loads((run / "config.json").read_text())
    text["config"] |= {"env": "GymV21Environment-v0", "env_kwargs": {"env_id": "marker:World-v0"}, "wrappers": []}
    (run / "config.json").write_text(json.dumps(text))
    code, _, error = answers("evaluate", "run")
    assert code == 2
    assert error.strip().endswith("ddpg-jax evaluate run --env GymV21Environment-v0")


WRONG = {
    "--env nofile.py:MyEnv": "environment 'nofile.py:MyEnv' cannot be made: file 'nofile.py' does not exist",
    "--env broken.py:MyEnv": "file 'broken.py' cannot be imported: RuntimeError: no licence ask for one",
    "--env broken:MyEnv": "module 'broken' cannot be imported: RuntimeError: no licence ask for one",
    "--import broken.py": "file 'broken.py' cannot be imported: RuntimeError: no licence ask for one",
    "--env my_envs.py": "name a class or function in it, as FILE.py:CLASS",
    "--env my_envs.py:MyEnvv": "my_envs.py has no MyEnvv; did you mean 'MyEnv'?",
    "--env my_envs:NUMBER": "NUMBER of my_envs is a int; name a class, or a function that makes one",
    "--env json.py:loads": "file 'json.py' cannot be imported: 'json' is another module",
    "--env a-b.py:MyEnv": "file 'a-b.py' cannot be imported: name it with letters, digits and underscores alone",
    "--env my_factory:NoEnv": "'my_factory:NoEnv' is of my_factory.NoEnv, which is no gymnasium.Env",
    "--env my_factory:nothing": "'my_factory:nothing' is of builtins.NoneType, which is no gymnasium.Env",
    "--env my_factory:sized": "missing a required argument: 'size'; it takes (size), and env_kwargs gives {}",
    "--env my_envs:MyEnv --env-kwargs.h 1": "unexpected keyword argument 'h'; it takes (render_mode=None, g=1.0)",
    "--env-kwargs.h 1": "PendulumEnv.__init__() got an unexpected keyword argument 'h'",
    "--env gymnax/Pendulum-v1 --env-kwargs.mas 1": "env_kwargs.mas is no parameter of gymnax/Pendulum-v1; did you",
    "--env gymnax/Pendulum-v1 --env-kwargs.g high": "env_kwargs.g = 'high' must be float",
    "--env-kwargs g=9": "env_kwargs = 'g=9' must be a JSON object, such as {\"g\": 9.0}",
    "--env-kwargs [9]": "env_kwargs = [9] must be a JSON object, such as {\"g\": 9.0}",
    "--env-kwargs [9] --env-kwargs.g 9": "option --env-kwargs must be a JSON object, not [9]",
    "--env-kwargs.g": "option --env-kwargs.g needs a value",
    "--wrappers FlatenObservation": "is none of Gymnasium's, and no FILE.py:CLASS of yours; did you mean 'FlattenObs",
    "--wrappers TransformReward": "wrapper 'TransformReward' is not put on by its name; do it in a function of yours",
    "--wrappers RecordVideo": "wrapper 'RecordVideo' is not put on by its name",
    "--wrappers 3": "wrapper '3' is none of Gymnasium's",
    "--wrappers RescaleAction": "wrapper 'RescaleAction' cannot be put around Pendulum-v1: TypeError: ",
    """--wrappers 'RescaleAction {"low": 1}'""": "TypeError: RescaleAction.__init__() got an unexpected keyword",
    "--wrappers 'RescaleAction {'": "must be names, each with its arguments as JSON, such as 'RescaleAction {",
    "--wrappers my_envs.py:Scald": "wrapper 'my_envs.py:Scald' cannot be made: my_envs.py has no Scald; did you mean",
    "--wrappers my_factory:NoWrapper": "makes a NoWrapper of Pendulum-v1, which is no gymnasium.Env; derive it from",
    "--max-episode-steps 0": "max_episode_steps = 0 must be in [1, 2147483647], or None",
    "--max-episode-steps ten": "max_episode_steps = 'ten' must be int | None",
    "--env my_factory:limited --max-episode-steps 500": "is beyond the limit of 200 steps that environment 'my_factory",
    "--env gymnax/Pendulum-v1 --wrappers FlattenObservation": "takes no wrappers of Gymnasium's: leave wrappers unset",
}  # fmt: skip


@pytest.mark.parametrize("flags", WRONG)
def test_wrong_code_is_one_line_and_nothing_is_written(flags, answers, folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("broken", "json", "a-b"):
        (folder / f"{name}.py").write_text("raise RuntimeError('no licence\\nask for one')")
    before = sorted(folder.rglob("*"))
    code, out, error = answers("train", *shlex.split(flags))
    assert (code, out) == (2, ""), error
    assert WRONG[flags] in error
    assert error.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_python_runs_the_package(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ddpg_jax", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("ddpg_jax", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == "0.1.0"

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from benchmarks.durability.kills import read_arrays
from ddpg_jax.config import Config, DDPGConfig
from ddpg_jax.native import library
from ddpg_jax.runs.commands.resume import version_differences
from ddpg_jax.runs.commands.train import describe_run, kernels_in_use
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.directory import versions

TINY = [
    "--agent.hidden-sizes", "8", "--replay.capacity", "1000", "--replay.batch-size", "8", "--train.total-steps", "600",
    "--train.start-steps", "100", "--train.update-after", "100", "--train.log-every", "100",
    "--train.eval-every", "300", "--train.eval-episodes", "2", "--train.final-eval-episodes", "3",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, and what was printed."""
    path = tmp_path_factory.mktemp("runs") / "a"
    command = [sys.executable, "-m", "ddpg_jax.runs.console.cli", "train", *TINY, "--run-dir", str(path), "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return path, done.stdout


def rows(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_train_ends_with_the_evaluated_return_and_where_the_report_is(run):
    path, out = run
    lines = out.strip().splitlines()
    assert lines[0].startswith("Pendulum-v1, preset pendulum (tuned here")
    assert lines[1] == f"replay memory 0 MiB, run directory {path}"
    assert lines[2].startswith("compiled programs are kept in /")
    assert lines[3] == f"kernels: {kernels_in_use(DDPGConfig(normalization='none'))}"
    assert lines[-2].startswith("Pendulum-v1 after 600 steps: return -")
    assert "(mean and standard deviation of 3 episodes, worst -" in lines[-2]
    assert lines[-1] == f"report: {path}/report.html"
    assert (path / "report.html").read_text().startswith("<!doctype html>")
    assert any("steps/s" in line and "best" in line and "left" in line for line in lines)


def test_the_run_directory_holds_settings_and_metrics(run):
    path, out = run
    settings = json.loads((path / "config.json").read_text())
    assert settings["config"]["seed"] == 3
    assert settings["config"]["agent"]["hidden_sizes"] == [8]
    assert settings["config"]["agent"]["max_grad_norm"] == 1.0, "from the preset"
    assert set(settings["versions"]) >= {"python", "jax", "flax", "optax", "gymnasium", "ddpg_jax"}
    kinds = {kind: [row for row in rows(path) if row["kind"] == kind] for kind in ("episode", "update", "evaluation")}
    assert [row["step"] for row in kinds["episode"]] == [200, 400, 600]
    assert [row["step"] for row in kinds["update"]] == [200, 300, 400, 500, 600]
    assert set(kinds["update"][0]) >= {
        "critic_loss", "actor_loss", "q", "target", "td_error", "critic_grad_norm", "actor_grad_norm", "saturation",
    }  # fmt: skip
    assert [(row["step"], len(row["returns"])) for row in kinds["evaluation"]] == [(300, 2), (600, 3)]
    final = np.mean(kinds["evaluation"][-1]["returns"])
    assert f"return {format_number(final)} +-" in out
    assert (path / "report.html").read_text().count(format_number(final)) >= 2, "the same, in verdict and facts"


def test_evaluate_reads_a_run_and_leaves_it_alone(run, capsys):
    path, _ = run
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    assert cli.main(["evaluate", str(path), "--episodes", "2"]) == 0
    assert "(mean and standard deviation of 2 episodes" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_evaluating_more_often_changes_nothing_that_is_learned(run, tmp_path):
    path, _ = run
    other = tmp_path / "b"
    options = [*TINY, "--train.eval-every", "150", "--train.eval-episodes", "1"]
    assert cli.main(["train", *options, "--run-dir", str(other), "--seed", "3"]) == 0
    learned = [{row["step"]: row["return"] for row in rows(run) if row["kind"] == "episode"} for run in (path, other)]
    assert learned[0] == learned[1]
    weights = [read_arrays(checkpoint.newest(run, print)) for run in (path, other)]
    assert {name for name in weights[0] if "Dense_0.kernel" in name}
    for name in weights[0]:
        np.testing.assert_array_equal(weights[0][name], weights[1][name], err_msg=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--env", "CartPole-v1"], "CartPole-v1 has the action space Discrete(2); DDPG needs a Box of real numbers"),
        (["--env", "Pendulumm-v1"], "environment 'Pendulumm-v1' cannot be made: "),
        (["--env", "gymnax/CartPole-v1"], "CartPole-v1 has a Discrete action space; DDPG needs a Box"),
        (["--agent.taw", "0.1"], "option --agent.taw is unknown; did you mean --agent.tau?"),
        (["--xyz"], "option --xyz is unknown; see ddpg-jax train --help"),
        (["--preset", "pendelum"], "preset 'pendelum' is unknown; did you mean 'pendulum'?"),
        (["--agent.tau", "1.5"], "agent.tau = 1.5 must be in (0, 1]"),
        (["--replay.n-step", "0"], "replay.n_step = 0 must be >= 1"),
        (["--replay.capacity", "100"], "replay.batch_size = 128 must be at most replay.capacity = 100; lower the one"),
        (["--seed", "-1"], "seed = -1 must be in [0, 2147483647]"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2_and_nothing_written(options, message, tmp_path, capsys):
    path = tmp_path / "run"
    assert cli.main(["train", "--run-dir", str(path), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ddpg-jax: error: " + message), error
    assert error.count("\n") == 1
    assert not path.exists()


def test_a_run_directory_that_exists_is_refused(tmp_path, capsys):
    (tmp_path / "mine").write_text("precious")
    assert cli.main(["train", "--run-dir", str(tmp_path)]) == 2
    assert f"run directory {tmp_path} exists; choose another --run-dir" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("observation", ["Tuple", "infinite"])
def test_environments_that_cannot_be_used_are_named(observation, tmp_path, capsys):
    import gymnasium

    class World(gymnasium.Env):
        action_space = gymnasium.spaces.Box(-1, 1, (1,))
        observation_space = gymnasium.spaces.Tuple([gymnasium.spaces.Box(-1, 1, (1,))])

    if observation == "infinite":
        World.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
        World.observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    name = f"Unusable{observation}-v0"
    gymnasium.register(name, entry_point=World)
    assert cli.main(["train", "--env", name, "--run-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert ("FlattenObservation" if observation == "Tuple" else "TransformAction") in error
    assert not (tmp_path / "run").exists()


def test_evaluate_refuses_what_is_no_run(tmp_path, capsys):
    assert cli.main(["evaluate", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{")
    assert cli.main(["evaluate", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err
    (tmp_path / "config.json").write_text(json.dumps({"config": {"env": "os:System-v0"}}))
    assert cli.main(["evaluate", str(tmp_path)]) == 2
    assert "is not registered here" in capsys.readouterr().err
    (tmp_path / "config.json").write_text(json.dumps({"config": {}}))
    assert cli.main(["evaluate", str(tmp_path)]) == 2
    assert "holds no checkpoint yet" in capsys.readouterr().err


def test_environments_that_fail_end_the_run_with_exit_3_and_the_parameters_saved(tmp_path, capsys):
    import gymnasium
    from worlds import Scripted

    class Failing(Scripted):
        total = 0

        def step(self, action):
            Failing.total += 1
            if Failing.total == 130:
                raise RuntimeError("the gripper is stuck")
            return super().step(action)

    gymnasium.register("Failing-v0", entry_point=Failing)
    path = tmp_path / "run"
    options = [*TINY, "--train.eval-every", "0", "--env", "Failing-v0", "--preset", "pendulum"]
    assert cli.main(["train", *options, "--run-dir", str(path)]) == 3
    error = capsys.readouterr().err
    assert "the gripper is stuck" in error
    assert f"everything is saved after 129 steps; continue with: ddpg-jax resume {path}" in error
    assert error.count("\n") == 1
    assert checkpoint.newest(path, print).step == 129


def test_an_interrupt_ends_at_the_next_chunk_and_keeps_what_there_is(tmp_path):
    path = tmp_path / "run"
    options = [*TINY, "--train.total-steps", "10000000", "--train.eval-every", "0", "--run-dir", str(path)]
    command = [sys.executable, "-m", "ddpg_jax.runs.console.cli", "train", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    metrics = path / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and "update" in metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    last = out.strip().splitlines()[-1]
    assert last.startswith("stopped after ")
    assert last.endswith(f"ddpg-jax resume {path}")
    assert cli.main(["evaluate", str(path), "--episodes", "1"]) == 0


def test_presets_are_listed_with_their_sources(capsys):
    assert cli.main(["presets"]) == 0
    out = capsys.readouterr().out
    assert "lillicrap2015" in out
    assert "Fujimoto" in out


def test_help_names_every_command(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in cli.COMMANDS)


def test_a_command_waits_for_no_package_of_another():
    code = (
        "import sys; from ddpg_jax.runs.console.cli import find_command; find_command('presets'); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "ddpg_jax.runs.commands.presets" in loaded
    assert not {"gymnasium", "ddpg_jax.runs.driver", "orbax", "plotly", "scipy.stats"} & set(loaded)


def test_an_unknown_command_gets_the_nearest(capsys):
    assert cli.main(["trian"]) == 2
    assert "command 'trian' is unknown; did you mean 'train'?" in capsys.readouterr().err


def opened(run, command, copied):
    """Exit code of a command on a copy of the run, and whether every file of it is as before."""
    shutil.copytree(run, copied)
    before = {file: file.stat().st_mtime_ns for file in copied.rglob("*")}
    code = cli.main([command, str(copied)])
    return code, {file: file.stat().st_mtime_ns for file in copied.rglob("*")} == before


@pytest.mark.parametrize("command", ["resume", "evaluate", "watch", "export"])
def test_a_run_of_64_bit_mode_is_refused_outside_of_it_by_its_name_and_the_other_way_round(
    run, command, tmp_path, capsys
):
    path, _ = run
    settings = json.loads((path / "config.json").read_text())
    assert settings["versions"]["x64"] is False
    with jax.enable_x64(True):
        assert opened(path, command, tmp_path / "outside") == (2, True)
    error = capsys.readouterr().err
    assert "outside was made without JAX_ENABLE_X64, which is set now; JAX_ENABLE_X64=0 opens it" in error
    assert error.count("\n") == 1
    shutil.copytree(path, tmp_path / "inside")
    settings["versions"]["x64"] = True
    (tmp_path / "inside" / "config.json").write_text(json.dumps(settings))
    assert opened(tmp_path / "inside", command, tmp_path / "copy") == (2, True)
    error = capsys.readouterr().err
    assert "copy was made with JAX_ENABLE_X64=1, which is not set now; set it for this command" in error
    assert error.count("\n") == 1


def test_whose_kernels_compute_is_said_with_the_reason(monkeypatch):
    assert kernels_in_use(DDPGConfig(kernels="xla")) == "XLA's, as agent.kernels says"
    monkeypatch.setattr(library, "why_not", lambda: "they are elsewhere")
    assert kernels_in_use(DDPGConfig()) == "XLA's, since they are elsewhere"
    monkeypatch.setattr(library, "why_not", lambda: None)
    monkeypatch.setattr(library, "name", lambda: "avx2")
    assert kernels_in_use(DDPGConfig(normalization="none")) == "avx2"
    assert kernels_in_use(DDPGConfig()) == "avx2 for norms, Adam and targets; XLA's for layers"


def test_the_first_line_says_where_no_preset_is_tuned():
    words = "since none is tuned for this environment, seed 3"
    for env, preset in (("Humanoid-v5", "mujoco"), ("Mine-v0", "default")):
        line = describe_run(Config(env=env, seed=3), preset)
        assert line.startswith(f"{env}, preset {preset} (")
        assert line.endswith(f"), {words}")
    assert words not in describe_run(Config(env="HalfCheetah-v5", seed=3), "mujoco")
    assert words not in describe_run(Config(env="Humanoid-v5", seed=3), "td3"), "it was asked for"


def test_what_changes_bits_is_said_by_resume_and_what_was_not_written_down_is_not():
    now = versions()
    assert version_differences(now) == []
    assert version_differences({}) == [], "an older version wrote less down"
    assert version_differences(now | {"prng": "key<rbg>"}) == [
        f"not the same bits as without the interruption: prng key<rbg> then, {now['prng']} now"
    ]

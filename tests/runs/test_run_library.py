"""Runs from Python: the same bits as by the command line, callbacks, environments of one's own, interrupts."""

import dataclasses
import functools
import json
import signal
import threading

import jax
import numpy as np
import pytest
from worlds import Scripted, probe

import ddpg_jax as dj
from benchmarks.durability import kills
from ddpg_jax.config import from_dict
from ddpg_jax.runs import library, session
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.directory import METRICS

CONFIG = dj.Config(
    env="gymnax/Pendulum-v1",
    seed=4,
    agent=dj.DDPGConfig(hidden_sizes=(8,)),
    replay=dj.ReplayConfig(capacity=400, batch_size=8),
    train=dj.TrainConfig(
        total_steps=240, start_steps=40, update_after=40, log_every=40, eval_every=80, eval_episodes=2, eval_envs=2,
        final_eval_episodes=2, eval_steps=20,
    ),
)  # fmt: skip
OWN = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, eval_steps=None, eval_every=0, probe_every=0))


def flags(config):
    """A command line with these settings."""
    from ddpg_jax.runs.report.settings import flat_settings

    defaults = flat_settings(dj.Config())
    changed = {name: value for name, value in flat_settings(config).items() if value != defaults[name]}
    words = [f"--{name.replace('_', '-')} {value}" for name, value in changed.items()]
    return ["--preset", "default", *" ".join(words).replace("(8,)", "8").split()]


def rows(run):
    return [json.loads(line) for line in (run / METRICS).read_text().splitlines()]


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """The same settings need not be traced again for each run; what is compiled keeps nothing between two."""
    again = functools.cache(session.prepare)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "prepare", lambda config, *own: (session.prepare if any(own) else again)(config, *own))
        yield


@pytest.fixture(scope="module")
def by_command(tmp_path_factory):
    run = tmp_path_factory.mktemp("command") / "run"
    assert cli.main(["train", *flags(CONFIG), "--run-dir", str(run)]) == 0
    return run


def stop_after(steps, action):
    """A callback that does something at the first row from then on."""

    def callback(new):
        if any(row["step"] >= steps for row in new):
            action()

    return callback


def fail():
    raise LookupError("seen enough")


def test_a_run_is_that_of_the_command_line_to_the_bit_and_callbacks_see_its_rows(by_command, tmp_path):
    seen = []
    result = dj.runs.train(CONFIG, run_dir=tmp_path / "run", callbacks=[seen.extend])
    assert kills.fingerprint(result.path) == kills.fingerprint(by_command)
    settings = [json.loads((run / "config.json").read_text()) for run in (result.path, by_command)]
    assert settings[0]["config"] == settings[1]["config"]
    assert from_dict(dj.Config, settings[0]["config"]) == CONFIG
    assert (result.path / "report.html").exists()
    assert json.loads(json.dumps(seen)) == rows(result.path)
    earned = {row["step"]: np.mean(row["returns"]) for row in seen if row["kind"] == "evaluation"}
    assert (result.step, result.best_step) == (240, max(earned, key=earned.get))
    assert result.best == pytest.approx(max(earned.values()))
    assert result.evaluation.returns.mean() == pytest.approx(earned[240])


@pytest.mark.parametrize("steps", [120, 240])
def test_a_callback_that_raises_ends_the_run_with_all_saved_and_its_own_error(steps, by_command, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(LookupError, match="seen enough"):
        dj.runs.train(CONFIG, run_dir=run, callbacks=[stop_after(steps, fail)])
    assert checkpoint.newest(run, print).step >= steps
    result = dj.runs.resume(run)
    assert result.step == 240
    assert kills.fingerprint(run) == kills.fingerprint(by_command)


def test_an_interrupt_saves_and_is_raised_and_handlers_are_as_before(by_command, tmp_path, capsys):
    run = tmp_path / "run"
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    interrupt = stop_after(80, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=r"everything is saved; go on with ddpg_jax\.runs\.resume\('/"):
        dj.runs.train(CONFIG, run_dir=run, callbacks=[interrupt])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert 80 <= checkpoint.newest(run, print).step < 240
    assert cli.main(["resume", str(run)]) == 0, "the command line goes on with it"
    assert kills.fingerprint(run) == kills.fingerprint(by_command)


def test_it_trains_outside_of_the_main_thread_too(by_command, tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(dj.runs.train(CONFIG, run_dir=tmp_path / "run")))
    thread.start()
    thread.join()
    assert kills.fingerprint(found[0].path) == kills.fingerprint(by_command)


def test_a_finished_run_is_left_as_it_is_or_goes_on(by_command, tmp_path):
    result = dj.runs.train(CONFIG, run_dir=tmp_path / "run")
    again = dj.runs.resume(result.path)
    assert again == result._replace(evaluation=None)
    with pytest.raises(dj.ConfigError, match=r"train\.total_steps = 100 must be at least 240"):
        dj.runs.resume(result.path, total_steps=100)
    assert dj.runs.resume(result.path, total_steps=320).step == 320


def test_what_was_learned_is_read_in_one_line(by_command):
    for wanted in ("last", "best", 0):
        found = dj.runs.load(by_command, wanted)
        assert found.config == CONFIG
        whole = checkpoint.read_checkpoint(library.choose(by_command, wanted, print).path)
        assert found.step == whole.step
        arrays = kills.read_arrays(whole)
        leaves = dj.types.named_leaves({"agent": {"params": found.params}})
        for name, leaf in leaves.items():
            np.testing.assert_array_equal(leaf, arrays[name], err_msg=name)
        assert found.agent.act(found.params.actor, np.zeros((5, 3))).shape == (5, 1)
    assert dj.runs.load(by_command, 0).mean_return is None
    assert dj.runs.load(by_command).mean_return == pytest.approx(np.mean(rows(by_command)[-1]["returns"]))
    with pytest.raises(dj.ConfigError, match="keeps no checkpoint of step 1; there are those of the steps 0, "):
        dj.runs.load(by_command, 1)


WORLDS = {
    "Gymnasium's": lambda: dj.envs.gymnasium.from_factory(Scripted, 2),
    "compiled": lambda: probe(lambda obs, action: -(action**2), 5, lambda time, sign: time)(2),
}


@pytest.mark.parametrize("kind", WORLDS)
def test_environments_of_one_s_own_are_trained_in_and_given_again_to_go_on(kind, tmp_path, capsys):
    env, run = WORLDS[kind](), tmp_path / "run"
    with pytest.raises(LookupError):
        dj.runs.train(OWN, env, run, [stop_after(120, fail)])
    config = json.loads((run / "config.json").read_text())["config"]
    assert (config["train"]["num_envs"], config["train"]["eval_envs"]) == (2, 0), "as it is"
    for command in ("resume", "evaluate"):
        capsys.readouterr()
        assert cli.main([command, str(run)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "was trained in an Env that was given from Python and has no id; open it there: ddpg_jax.runs" in line
    assert cli.main(["report", str(run)]) == 0
    with pytest.raises(dj.ConfigError, match="given from Python and has no id"):
        dj.runs.resume(run)
    result = dj.runs.resume(run, env)
    assert (result.step, result.best_step) == (240, 240)
    assert not [row for row in rows(run) if row["kind"] == "restart"], "they stood where they had stood"
    assert dj.runs.load(run, "best", env).mean_return == result.best
    assert jax.tree.leaves(env.reset(jax.random.key(0))), "it is open still"


def test_in_a_compiled_one_of_one_s_own_the_bits_are_those_of_an_undisturbed_run(tmp_path):
    env = WORLDS["compiled"]()
    whole, run = tmp_path / "whole", tmp_path / "run"
    dj.runs.train(OWN, env, whole)
    with pytest.raises(LookupError):
        dj.runs.train(OWN, env, run, [stop_after(120, fail)])
    dj.runs.resume(run, env)
    assert kills.fingerprint(run) == kills.fingerprint(whole)


def test_evaluations_may_be_played_in_environments_beside_them(tmp_path):
    env, eval_env = WORLDS["Gymnasium's"](), dj.envs.gymnasium.from_factory(Scripted, 3)
    result = dj.runs.train(OWN, env, tmp_path / "run", eval_env=eval_env)
    assert json.loads((result.path / "config.json").read_text())["config"]["train"]["eval_envs"] == 3
    assert not [row for row in rows(result.path) if row["kind"] == "restart"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"config": dataclasses.replace(CONFIG, seed=-1)}, dj.ConfigError, "seed = -1 must be in"),
        ({"config": dataclasses.replace(CONFIG, env="Nope-v0")}, dj.EnvError, "'Nope-v0' cannot be made"),
        ({"env": "Pendulum-v1"}, dj.EnvError, "a str is no ddpg_jax.Env"),
        ({"eval_env": "Pendulum-v1"}, dj.ConfigError, "eval_env needs an env beside it"),
        (
            {"config": dataclasses.replace(CONFIG, env_kwargs={"g": 9.0}), "env": WORLDS["Gymnasium's"]()},
            dj.ConfigError,
            "env_kwargs, wrappers, max_episode_steps, env_timeout are of environments that are made by an id",
        ),
        ({"env": WORLDS["compiled"]()}, dj.ConfigError, "train.eval_steps = 20 cannot cut the episodes of an env"),
    ],
)
def test_wrong_input_is_told_before_anything_is_written(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        dj.runs.train(**{"config": CONFIG} | arguments, run_dir=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_there_is_not_written(by_command):
    with pytest.raises(dj.ConfigError, match="exists; choose another"):
        dj.runs.train(CONFIG, run_dir=by_command)


CELL = """
import dataclasses, pathlib, tempfile
import ddpg_jax as dj
train = dj.TrainConfig(
    total_steps=200, start_steps=40, update_after=40, eval_every=0, final_eval_episodes=1, probe_every=0
)
config = dj.Config(agent=dj.DDPGConfig(hidden_sizes=(8,)), replay=dj.ReplayConfig(batch_size=8), train=train)
result = dj.runs.train(config, run_dir=pathlib.Path(tempfile.mkdtemp()) / "run")
"""


def test_below_a_notebook_s_cell_there_is_one_bar_that_ends_full():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    (output,) = book.cells[0].outputs
    text = output["data"]["text/plain"]
    assert text.startswith("[####################] 200/200 steps  return ")
    assert "best evaluation" in text

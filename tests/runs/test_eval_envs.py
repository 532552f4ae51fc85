"""Who plays the evaluations: environments of their own, or those of the training."""

import functools
import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Scripted

from benchmarks.durability import kills
from ddpg_jax import Config, TrainConfig, envs
from ddpg_jax.runs import session
from ddpg_jax.runs.commands import train as commands
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.fault_points import PASSED, VARIABLE
from ddpg_jax.training.evaluation import make_evaluate

OPTIONS = {
    "agent.hidden-sizes": "8",
    "replay.capacity": 300,
    "replay.batch-size": 8,
    "replay.n-step": 3,
    "exploration.kind": "ou",
    "env-retries": 1,
    "train.num-envs": 2,
    "train.total-steps": 200,
    "train.start-steps": 40,
    "train.update-after": 40,
    "train.log-every": 40,
    "train.eval-every": 80,
    "train.probe-every": 0,
    "train.eval-episodes": 3,
    "train.final-eval-episodes": 3,
}


class Only(Scripted):
    """Holds what only one can hold; episodes of 13 to 15 steps, so that evaluations come in their midst."""

    held = 0

    def __init__(self):
        if Only.held:
            raise RuntimeError("port 5005 is in use")
        Only.held += 1

    def step(self, action):
        obs, reward, *_ = super().step(action)
        return obs, reward, False, self.time >= 13 + self.episode % 3, {}

    def close(self):
        Only.held -= 1


class Several(Only):
    """The same where there may be many, with something in its observations that no seed knows, or a step that fails."""

    noise, fails_at, steps = 0.0, None, 0

    def __init__(self):
        pass

    def observe(self):
        return super().observe() + self.noise * np.random.uniform()

    def step(self, action):
        Several.steps += 1
        if Several.steps == self.fails_at:
            raise RuntimeError("the gripper is stuck")
        return super().step(action)

    def close(self):
        pass


for world in (Only, Several):
    gymnasium.register(f"{world.__name__}-v0", entry_point=world)


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """The same settings need not be traced again for each run."""
    with pytest.MonkeyPatch.context() as patch:
        again = functools.cache(session.prepare)
        prepare = lambda config: (again if config.env == "Several-v0" else session.prepare)(config)  # noqa: E731
        patch.setattr(commands, "prepare", prepare)
        yield


def train(run, env="Several-v0", **changes):
    options = OPTIONS | {name.replace("__", "."): value for name, value in changes.items()}
    flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    return cli.main(["train", "--env", env, "--run-dir", str(run), *flags])


def rows(run, kind):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A run whose own environments played its evaluations."""
    run = tmp_path_factory.mktemp("own") / "run"
    assert train(run, train__eval_envs=0) == 0
    return run


def test_who_plays_the_evaluations_changes_no_bit_of_what_is_learned(own, tmp_path, monkeypatch):
    made = []
    make = session.make_env
    monkeypatch.setattr(session, "make_env", lambda config, num, *rest: made.append(num) or make(config, num, *rest))
    assert train(tmp_path / "run", train__eval_envs=3) == 0
    assert made == [2, 3]
    assert kills.fingerprint(own).runner == kills.fingerprint(tmp_path / "run").runner
    assert [row["step"] for row in rows(own, "evaluation")] == [80, 160, 200]
    assert rows(own, "restart") == []


def test_a_run_whose_environments_evaluate_is_stopped_there_and_goes_on_to_the_bit(own, tmp_path, monkeypatch):
    run = tmp_path / "run"
    PASSED.clear()
    monkeypatch.setenv(VARIABLE, "evaluating:2:term")
    assert train(run, train__eval_envs=0) == 75
    monkeypatch.delenv(VARIABLE)
    assert cli.main(["resume", str(run)]) == 0
    assert kills.fingerprint(run) == kills.fingerprint(own)


def test_an_environment_that_does_not_repeat_itself_begins_a_new_episode_after_each(tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr(Several, "noise", 1.0)
    assert train(run, train__eval_envs=0) == 0
    assert capsys.readouterr().out.count("exact_resume: false") == 1
    assert [row["step"] for row in rows(run, "restart")] == [80, 160]
    assert checkpoint.newest(run, print).progress["exact_resume"] is False
    assert max(row["length"] for row in rows(run, "episode")) <= 15


def test_a_failure_in_an_evaluation_by_them_is_counted_and_training_goes_on(own, tmp_path, monkeypatch):
    monkeypatch.setattr(Several, "steps", 0)
    monkeypatch.setattr(Several, "fails_at", 93)  # in the first evaluation, after 80 steps
    assert train(tmp_path / "run", train__eval_envs=0) == 0
    (restart,) = rows(tmp_path / "run", "restart")
    assert "in an evaluation: environment 0 failed" in restart["reason"]
    assert kills.fingerprint(tmp_path / "run").runner == kills.fingerprint(own).runner


def test_where_only_one_may_exist_each_command_makes_one_at_a_time(tmp_path, capsys):
    run, one = tmp_path / "run", {"train__num_envs": 1}
    assert train(tmp_path / "refused", "Only-v0", **one) == 2
    error = capsys.readouterr().err
    assert "port 5005 is in use" in error
    assert error.endswith("where only one may exist, set train.eval_envs to 0\n")
    assert train(tmp_path / "refused", "Only-v0", train__num_envs=2, train__eval_envs=0) == 2
    assert "it was number 2 of 2: where only one may exist, make one environment" in capsys.readouterr().err
    assert Only.held == 0, "what could be made is closed again"
    assert not (tmp_path / "refused").exists()
    assert train(run, "Only-v0", train__eval_envs=0, **one) == 0
    for command, *options in (("evaluate", "--episodes", "1"), ("export", "--formats", "numpy"), ("resume",)):
        assert cli.main([command, str(run), *options]) == 0, command
    assert Only.held == 0


def test_a_compiled_environment_may_be_made_again():
    config = Config(env="gymnax/Pendulum-v1", train=TrainConfig(num_envs=3, eval_envs=0))
    assert session.make_eval_env(envs.make(config.env, 3), config).num_envs == 3


def test_a_limit_cuts_the_evaluation_s_episodes_and_not_those_of_the_environments_it_shares():
    env = envs.make("Pendulum-v1")
    still = lambda params, obs: jnp.zeros((1, 1))  # noqa: E731
    for steps, length in ((3, 3), (None, 200)):
        assert make_evaluate(env.share(steps), still, 2)(jax.random.key(0), None).lengths.tolist() == [length] * 2
    assert make_evaluate(env, still, 1)(jax.random.key(0), None).lengths.tolist() == [200]

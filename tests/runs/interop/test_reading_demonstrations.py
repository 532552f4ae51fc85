"""Demonstrations from files: written with NumPy and with Minari, and read by the command line."""

import json
import shutil

import gymnasium
import minari
import numpy as np
import pytest
from worlds import Reach

from ddpg_jax import ConfigError, envs
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.interop.demonstrations import read_demonstrations

TINY = [
    "--agent.hidden-sizes", "8", "--replay.capacity", "1000", "--replay.batch-size", "8", "--train.total-steps", "200",
    "--train.start-steps", "0", "--train.update-after", "1", "--train.log-every", "50", "--train.final-eval-episodes",
    "1", "--checkpoint.every", "100", "--checkpoint.keep", "9",
]  # fmt: skip
DATASET = "pendulum/swings-v0"


@pytest.fixture(scope="module")
def spec():
    env = envs.make("Pendulum-v1")
    yield env.spec
    env.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two episodes of Pendulum as Minari keeps them, and the same steps in a file of arrays."""
    place = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(place))
        collector = minari.DataCollector(gymnasium.make("Pendulum-v1", max_episode_steps=30))
        rows = []
        for seed in (0, 1):
            obs, _ = collector.reset(seed=seed)
            collector.action_space.seed(seed)
            for _ in range(30):
                action = collector.action_space.sample()
                after, reward, terminated, truncated, _ = collector.step(action)
                rows.append((obs, action, reward, terminated, truncated, after))
                obs = after
        collector.create_dataset(DATASET)
        names = ("obs", "action", "reward", "terminated", "truncated", "next_obs")
        np.savez(place / "swings.npz", **dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True)))
        yield place


def test_both_kinds_of_file_hold_the_same_steps(recorded, spec):
    one, two = (read_demonstrations(source, spec) for source in (str(recorded / "swings.npz"), f"minari:{DATASET}"))
    assert one.reward.shape == (60,)
    for mine, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert np.flatnonzero(one.truncated).tolist() == [29, 59]


def test_goal_environments_are_recorded_part_by_part(recorded):
    collector = minari.DataCollector(Reach())
    collector.reset(seed=0)
    for _ in range(5):
        collector.step(np.ones(2, np.float32))
    collector.create_dataset("reach/five-v0")
    env = envs.gymnasium.from_factory(Reach)
    steps = read_demonstrations("minari:reach/five-v0", env.spec)
    assert steps.obs["achieved_goal"].shape == (5, 2)
    assert steps.truncated.tolist() == [False] * 4 + [True], "an episode that was left is cut"
    env.close()


def record(env, dataset, steps=5):
    """A data set of random actions, and these."""
    collector = minari.DataCollector(env)
    collector.reset(seed=0)
    collector.action_space.seed(0)
    actions = [collector.action_space.sample() for _ in range(steps)]
    for action in actions:
        collector.step(action)
    collector.create_dataset(dataset)
    return np.array(actions)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 4.0), (-0.5, -0.25), (-2.0, 2.0)])
def test_actions_are_mapped_from_the_bounds_of_the_data_set(recorded, spec, low, high):
    name = f"pendulum/from{low}to{high}-v0".replace(".", "_")
    actions = record(gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), low, high), name)
    found = read_demonstrations(f"minari:{name}", spec).action
    np.testing.assert_allclose(found, 2 * (actions - low) / (high - low) - 1, atol=1e-5)
    assert np.abs(found).max() > 0.5, "random actions use the whole range"


def test_the_same_torque_is_the_same_action(recorded, spec):
    class Torque(gymnasium.Wrapper):
        def step(self, action):
            return super().step(np.array([1.5], np.float32))

    # A torque of 1.5 of 2 is 0.75 of the range, whatever the wrapper calls it.
    env = gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), -1.0, 1.0)
    collector = minari.DataCollector(env)
    collector.reset(seed=0)
    after, *_ = collector.step(np.array([0.75], np.float32))
    collector.create_dataset("pendulum/torque-v0")
    steps = read_demonstrations("minari:pendulum/torque-v0", spec)
    np.testing.assert_allclose(steps.action, [[0.75]], rtol=1e-6)
    plain = Torque(gymnasium.make("Pendulum-v1"))
    plain.reset(seed=0)
    np.testing.assert_allclose(plain.step(None)[0], after, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("endless", gymnasium.spaces.Box(-np.inf, np.inf, (1,)), "Box(-inf, inf, (1,), float32), whose bounds must be"),
        ("flat", gymnasium.spaces.Box(1.0, 1.0, (1,)), "Box(1.0, 1.0, (1,), float32), whose bounds must be finite"),
        ("wide", gymnasium.spaces.Box(-1.0, 1.0, (2,)), "Box(-1.0, 1.0, (2,), float32), which must be a Box with as"),
        (
            "chosen",
            gymnasium.spaces.Discrete(3),
            "Discrete(3), which must be a Box with as many numbers as the environment's, 1",
        ),
    ],
)
def test_action_spaces_that_cannot_be_mapped_are_refused(recorded, tmp_path, capsys, name, space, message):
    env = gymnasium.wrappers.TransformAction(gymnasium.make("Pendulum-v1"), lambda action: np.zeros(1), space)
    record(env, f"pendulum/{name}-v0")
    given = f"minari:pendulum/{name}-v0"
    run = tmp_path / "run"
    assert cli.main(["train", *TINY, "--env", "Pendulum-v1", "--demonstrations", given, "--run-dir", str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ddpg-jax: error: demonstrations = '{given}' were recorded with the action space {message}")
    assert line.endswith("or give them in the environment's unit in an .npz file")
    assert not run.exists()


@pytest.mark.parametrize("source", ["swings.npz", f"minari:{DATASET}"])
def test_a_run_learns_from_its_first_step_and_does_not_need_the_file_again(
    recorded, source, tmp_path, capsys, monkeypatch
):
    given = source if source.startswith("minari:") else str(recorded / source)
    command = [*TINY, "--env", "Pendulum-v1", "--demonstrations", given, "--run-dir", str(tmp_path / "run")]
    assert cli.main(["train", *command]) == 0
    assert f"the memory begins with 60 demonstrations in 2 stretches, of {given}" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert next(row["step"] for row in rows if row["kind"] == "update") == 50
    # The last checkpoints are gone, and so is what the demonstrations came from.
    for path in (tmp_path / "run" / "checkpoints").glob("*-step200"):
        shutil.rmtree(path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "empty"))
    monkeypatch.setattr("ddpg_jax.runs.interop.demonstrations.read_archive", None)
    assert cli.main(["resume", str(tmp_path / "run")]) == 0
    assert "going on after 100 steps" in capsys.readouterr().out


def test_what_cannot_be_read_is_said_before_anything_is_written(recorded, tmp_path, capsys):
    np.savez(tmp_path / "objects.npz", obs=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez_compressed(tmp_path / "damaged.npz", obs=np.arange(1000.0))
    with (tmp_path / "damaged.npz").open("r+b") as file:
        file.seek(200)
        file.write(bytes(100))
    run = tmp_path / "run"
    for given, message in [
        (tmp_path / "none.npz", "cannot be read as an .npz file of numbers: it is no such file; write one with"),
        (tmp_path, "cannot be read as an .npz file of numbers: it is no such file"),
        (tmp_path / "text.npz", "cannot be read as an .npz file of numbers: "),
        (tmp_path / "array.npy", "cannot be read as an .npz file of numbers: "),
        (tmp_path / "objects.npz", "cannot be read as an .npz file of numbers: Object arrays cannot be loaded"),
        (tmp_path / "damaged.npz", "cannot be read as an .npz file of numbers: "),
        ("minari:no/such-v0", "is not on this machine; get it with `minari download no/such-v0`"),
        ("minari:../x-v0", "names no data set; ids are NAMESPACE/NAME-vN"),
        (f"minari:{recorded / DATASET}", "names no data set; ids are NAMESPACE/NAME-vN"),
        ("minari:a\nb-v0", "names no data set; ids are NAMESPACE/NAME-vN"),
        ("minari:", "names no data set; ids are NAMESPACE/NAME-vN"),
    ]:
        assert cli.main(["train", *TINY, "--demonstrations", str(given), "--run-dir", str(run)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"ddpg-jax: error: demonstrations = {str(given)!r} {message}")
    assert not run.exists()


def test_other_spaces_and_too_small_a_memory_are_said(recorded, tmp_path, capsys):
    command = ["train", *TINY, "--demonstrations", f"minari:{DATASET}", "--run-dir", str(tmp_path / "run")]
    assert cli.main([*command, "--env", "MountainCarContinuous-v0"]) == 2
    assert "demonstrations: obs has shape (60, 3), and must have ('T', 2)" in capsys.readouterr().err
    assert cli.main([*command, "--replay.capacity", "59"]) == 2
    assert "demonstrations hold 60 transitions, and must hold at least train.num_envs = 1" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def spoiled(recorded, name, change):
    """A copy of the data set under another id, its metadata changed."""
    shutil.copytree(recorded / DATASET, recorded / name)
    path = recorded / name / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))
    return f"minari:{name}"


def test_a_data_set_cannot_have_an_environment_made(recorded, spec, tmp_path):
    def attack(metadata):
        del metadata["observation_space"]
        world = json.loads(metadata["env_spec"])
        metadata["env_spec"] = json.dumps(
            world | {"entry_point": "os:mkdir", "kwargs": {"path": str(tmp_path / "made")}}
        )

    with pytest.raises(ConfigError, match="cannot be read: its metadata do not say its spaces"):
        read_demonstrations(spoiled(recorded, "evil/one-v0", attack), spec)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("gone", ["data_format", "total_steps", "minari_version", "action_space"])
def test_a_damaged_data_set_is_said_in_one_line(recorded, spec, gone):
    with pytest.raises(ConfigError, match=r"^demonstrations = 'minari:damaged/\w+-v0' cannot be read: .+") as caught:
        read_demonstrations(spoiled(recorded, f"damaged/{gone}-v0", lambda metadata: metadata.pop(gone)), spec)
    assert "\n" not in str(caught.value)


def test_where_minari_is_missing_it_is_said(spec, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs Minari: pip install 'ddpg_jax\[minari\]'"):
        read_demonstrations("minari:any/one-v0", spec)

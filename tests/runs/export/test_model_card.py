"""The card of a policy, as a hub and a person read it."""

import contextlib
import json
import shutil

import gymnasium
import numpy as np
import pytest
from policies import elsewhere
from worlds import Scripted

from ddpg_jax.config import Config, DDPGConfig, ReplayConfig
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.export.model_card import Played, algorithm, model_card
from ddpg_jax.runs.session import prepare, start
from ddpg_jax.runs.storage.directory import Run, create_run
from ddpg_jax.runs.storage.run_state import make_saver
from ddpg_jax.training.evaluation import Evaluation

POLICY = {"policy.json", "policy.npz", "load_policy.py"}
TEXT = {"README.md", "config.json", "evaluation.json"}
FILMS = {"replay.mp4", "replay-sheet.png"}


class Drawn(Scripted):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        return np.full((20, 32, 3), 40 * self.time, np.uint8)


gymnasium.register("Drawn-v0", Drawn)
gymnasium.register("Undrawn-v0", Scripted)


def make_run(path, env):
    """A run at its first step."""
    config = Config(env, agent=DDPGConfig((8,)), replay=ReplayConfig(capacity=256))
    with contextlib.closing(prepare(config)) as session:
        create_run(path, config, "td3")
        make_saver(session.env, path, config.checkpoint, 0)(start(session))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "drawn", "Drawn-v0")


@pytest.fixture(scope="module")
def card(run, tmp_path_factory):
    pytest.importorskip("imageio_ffmpeg")
    folder = tmp_path_factory.mktemp("hub") / "card"
    assert cli.main(["card", str(run), "-o", str(folder), "--episodes", "4", "--seed", "3"]) == 0
    return folder


def head(folder):
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_the_folder_has_policy_settings_evaluation_and_film(run, card):
    assert {file.name for file in card.iterdir()} >= POLICY | TEXT | FILMS
    assert (card / "config.json").read_bytes() == (run / "config.json").read_bytes()
    assert not (run / "card").exists()


def test_the_return_of_the_card_is_what_evaluate_prints(run, card, capsys):
    assert cli.main(["evaluate", str(run), "--episodes", "4", "--seed", "3"]) == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    found = json.loads((card / "evaluation.json").read_text())
    assert f"return {found['mean_return']:.1f} +- {found['standard_deviation']:.1f} " in printed
    assert (found["episodes"], found["seed"], found["step"]) == (4, 3, 0)
    assert np.mean(found["returns"]) == found["mean_return"]


def test_a_hub_reads_library_tags_and_the_evaluated_return(card):
    values, found = head(card), json.loads((card / "evaluation.json").read_text())
    assert values["library_name"] == "ddpg_jax"
    assert values["tags"][0] == "Drawn-v0"
    assert {"reinforcement-learning", "ddpg", "td3"} <= set(values["tags"])
    ((model,),) = [values["model-index"]]
    (result,) = model["results"]
    assert model["name"] == "DDPG"
    assert result["dataset"] == {"name": "Drawn-v0", "type": "Drawn-v0"}
    (metric,) = result["metrics"]
    assert metric["value"] == f"{found['mean_return']:.2f} +/- {found['standard_deviation']:.2f}"


def test_the_example_of_the_card_acts_with_numpy_alone(card):
    example = (card / "README.md").read_text().split("```python\n")[1].split("```")[0]
    program = (
        f"import json, numpy as np\nobs = np.load('policy.npz')['obs']\n{example}\nprint(json.dumps(action.shape))"
    )
    assert elsewhere(card, ["jax", "ddpg_jax"], program).tolist() == [*Drawn.action_space.shape]


def test_a_card_is_written_again_without_the_film_that_it_no_longer_has(card, tmp_path, capsys):
    run, folder = make_run(tmp_path / "run", "Undrawn-v0"), tmp_path / "card"
    shutil.copytree(card, folder)
    assert cli.main(["card", str(run), "--output", str(folder), "--episodes", "1"]) == 0
    assert "left out: the film, " in capsys.readouterr().out
    assert not FILMS & {file.name for file in folder.iterdir()}
    text = (folder / "README.md").read_text()
    assert not [name for name in FILMS if name in text]
    assert "DDPG on Undrawn-v0" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--episodes", "0"], "episodes = 0 must be"),
        (["--seed", "-1"], "seed = -1 must be"),
        (["-o", "README"], "is a file"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(options, message, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README").write_text("")
    assert cli.main(["card", str(run), "-o", "card", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["README"]


def test_no_run_is_no_card(tmp_path, capsys):
    assert cli.main(["card", str(tmp_path / "none")]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_text_from_a_file_stays_text():
    yaml = pytest.importorskip("yaml")
    evil = 'x"\n---\n| <img src=x onerror=alert(1)> | y: [z'
    config = Config(env=evil, demonstrations=evil)
    evaluation = Evaluation(np.array([1.0]), np.array([5]), np.array([1.0]), None)
    card = model_card(Run(None, config, {"ddpg_jax": evil}), Played(3, 0, None, evaluation), [])
    lines = card.splitlines()
    end = lines.index("---", 1)
    assert yaml.safe_load("\n".join(lines[1:end]))["tags"][0] == evil
    assert "<img" not in "\n".join(lines[end:])
    assert all(line.count("|") - line.count("\\|") == 3 for line in lines[end:] if line.startswith("|"))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "DDPG"),
        ({"num_critics": 2, "policy_delay": 2}, "TD3"),
        ({"num_atoms": 51}, "D4PG"),
        ({"num_critics": 2}, "DDPG"),
    ],
)
def test_settings_are_called_as_the_field_calls_them(settings, name):
    assert algorithm(DDPGConfig(**settings)) == name

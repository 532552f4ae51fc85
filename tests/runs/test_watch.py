import contextlib
import io
import os
import re
import subprocess
import sys
import tracemalloc

import gymnasium
import imageio_ffmpeg
import jax
import numpy as np
import PIL.Image
import pytest
from worlds import Scripted, Seeing

from ddpg_jax import Config, ConfigError, DDPGConfig, EnvError, ReplayConfig, envs, make_evaluate, scale_action
from ddpg_jax.runs.commands import watch
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.policy import load_policy, policy_config
from ddpg_jax.runs.session import prepare, start
from ddpg_jax.runs.storage.directory import create_run
from ddpg_jax.runs.storage.run_state import make_saver
from ddpg_jax.runs.watch.contact_sheet import COLUMNS, WIDTH, sample
from ddpg_jax.runs.watch.episode import Frame, episode_seeds
from ddpg_jax.runs.watch.filmed_env import choose_env, render_without_display
from ddpg_jax.runs.watch.video import check_encoder, write_video


class Drawing(Scripted):
    """Draws its step as brightness, on an odd number of columns."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        return np.full((20, 33, 3), 40 * self.time, np.uint8)


class Breaking(Drawing):
    episodes = 0

    def reset(self, **options):
        Breaking.episodes += 1
        if Breaking.episodes == 3:  # the second one that is played
            raise RuntimeError("the lens is broken")
        return super().reset(**options)


class Wider(Drawing):
    action_space = gymnasium.spaces.Box(np.array([-1.0, 0.0]), np.array([4.0, 0.5]), dtype=np.float64)
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)


class Sighted(Seeing, Drawing):
    """Sees a Dict."""


class Blind(Scripted):
    def __init__(self, render_mode=None):
        self.render_mode = render_mode


for world in (Drawing, Breaking, Wider, Sighted, Blind):
    gymnasium.register(f"{world.__name__}-v0", entry_point=world)


def make_run(path, env):
    """A run at its first step."""
    config = Config(env, agent=DDPGConfig((8,)), replay=ReplayConfig(capacity=256))
    with contextlib.closing(prepare(config)) as session:
        create_run(path, config, "default")
        make_saver(session.env, path, config.checkpoint, 0)(start(session))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "drawing", "Drawing-v0")


@pytest.fixture(scope="module")
def sighted(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "sighted", "Sighted-v0")


def read_film(path):
    """What a player sees: size, pictures a second, and every picture."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    width, height, rate = re.search(r"Stream.* (\d+)x(\d+).* ([\d.]+) fps", done.stderr.decode()).groups()
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, int(height), int(width), 3)
    return (int(width), int(height)), float(rate), frames


def play_plainly(path, seeds):
    """(return, length) of episodes, by the loop that anyone would write."""
    env = gymnasium.make("Drawing-v0")
    with contextlib.closing(envs.make("Drawing-v0")) as like:
        policy = load_policy(path, policy_config(path), like.spec, print)
    for seed in seeds:
        obs, _ = env.reset(seed=seed)
        total, length, ended = 0.0, 0, False
        while not ended:
            action = policy.agent.act(policy.params, obs[None].astype(np.float32))[0]
            obs, reward, terminated, truncated, _ = env.step(np.asarray(scale_action(action, policy.spec)))
            total, length, ended = total + reward, length + 1, terminated or truncated
        yield total, length


def files(path):
    return {file: file.stat().st_mtime_ns for file in path.rglob("*") if "watch" not in file.parts}


def test_the_film_shows_every_step_of_the_episodes_that_are_printed(run, capsys):
    before = files(run)
    assert cli.main(["watch", str(run), "--episodes", "4", "--seed", "5"]) == 0
    out = capsys.readouterr().out.splitlines()
    episodes = list(play_plainly(run, episode_seeds(5, 4)))
    printed = [line for line in out if line.startswith("episode")]
    for line, seed, (value, length) in zip(printed, episode_seeds(5, 4), episodes, strict=True):
        assert f"(seed {seed}): return {format_number(value)} after {length} steps" in line
        assert line.endswith(", truncated" if seed % 1000 % 3 == 1 else ", terminated")
    size, rate, frames = read_film(run / "watch" / "step-0-seed-5.mp4")
    assert rate == 25
    assert size == (34, 20), "MP4 needs even sides"
    steps = [step for _, length in episodes for step in range(length + 1)]
    np.testing.assert_allclose([image[:, :33].mean() / 40 for image in frames], steps, atol=0.15)
    assert sorted(file.name for file in (run / "watch").iterdir()) == ["step-0-seed-5-sheet.png", "step-0-seed-5.mp4"]
    assert files(run) == before, "it is only read"


def test_the_contact_sheet_has_a_row_an_episode_and_a_column_a_step(run, tmp_path, capsys):
    film_path = tmp_path / "new" / "here.gif"
    assert cli.main(["watch", str(run), "--output", str(film_path), "--episodes", "2", "--max-steps", "2"]) == 0
    assert capsys.readouterr().out.count("after 2 steps, cut at --max-steps 2") == 2
    picture = np.asarray(PIL.Image.open(tmp_path / "new" / "here-sheet.png"))
    # Each row has three pictures: of the reset (black), and of steps 1 and 2 (40 and 80).
    for brightness in (0, 40, 80):
        assert (picture == brightness).all(axis=-1).sum() >= 2 * WIDTH * 97
    assert len(read_film(film_path)[2]) == 6


@pytest.mark.parametrize("name", ["run", "sighted"])
def test_they_are_the_episodes_that_evaluate_plays(name, request, tmp_path, capsys):
    run = request.getfixturevalue(name)
    with contextlib.closing(envs.make(policy_config(run).env, 10)) as env:
        policy = load_policy(run, policy_config(run), env.spec, print)
        result = make_evaluate(env, policy.agent.act, 12)(jax.random.key(7), policy.params)
    options = ["--episodes", "12", "--seed", "7", "--output", str(tmp_path / "a.mp4")]
    assert cli.main(["watch", str(run), *options]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("episode")]
    for line, value, length in zip(printed, result.returns, result.lengths, strict=True):
        assert f"return {format_number(value)} after {length} steps" in line


def test_a_policy_that_sees_a_dict_plays_where_the_same_is_seen(sighted, capsys):
    assert cli.main(["watch", str(sighted), "--env", "Drawing-v0"]) == 2
    assert (
        "observations are ['camera'] uint8 of shape (2, 3, 1), ['joints']['time'] float32 of shape (), "
        "['joints']['who'] bool of shape (10,) and float32 of shape (2,)"
    ) in capsys.readouterr().err


def test_a_compiled_run_is_watched_in_its_namesake(tmp_path, capsys):
    path = make_run(tmp_path / "run", "gymnax/Pendulum-v1")
    assert cli.main(["watch", str(path), "--episodes", "1", "--max-steps", "3"]) == 0
    assert "gymnax/Pendulum-v1 draws nothing; playing in Gymnasium's Pendulum-v1" in capsys.readouterr().out
    size, rate, frames = read_film(path / "watch" / "step-0-seed-0.mp4")
    assert (size, rate, len(frames)) == ((500, 500), 30, 4)
    assert frames[0].std() > 1, "something is drawn"
    assert cli.main(["watch", str(path), "--env", "Drawing-v0"]) == 2
    assert "cannot play in Drawing-v0: observations are float32 of shape (3,)" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="Gymnasium has no PointRobot-misc; name one like it with --env"):
        choose_env("gymnax/PointRobot-misc", None)


def test_a_missing_package_of_the_environment_is_named(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pygame", None)
    assert cli.main(["watch", str(run), "--env", "Pendulum-v1"]) == 2
    assert "pip install 'ddpg_jax[watch]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "film.avi"], "output = 'film.avi' must end with .mp4 or .gif"),
        (["--episodes", "0"], "episodes = 0 must be in [1, 2147483647]"),
        (["--max-steps", "x"], "max_steps = 'x' must be int"),
        (["--env", "gymnax/Pendulum-v1"], "env = 'gymnax/Pendulum-v1' is compiled and draws nothing"),
        (["--env", "Nowhere-v0"], "environment 'Nowhere-v0' cannot be made: "),
        (["--env", "Blind-v0"], "environment 'Blind-v0' cannot be rendered as rgb_array; it has no mode"),
        (
            ["--env", "Wider-v0"],
            "the policy of Drawing-v0 cannot play in Wider-v0: observations are float32 of shape (2,) and float32 of "
            "shape (3,); upper action bounds are [3.0, 0.5] and [4.0, 0.5]; name one of the same spaces with --env",
        ),
    ],
)
def test_wrong_input_is_one_line_and_exit_2_and_nothing_written(options, message, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "--output" not in options:
        options = [*options, "--output", "film.mp4"]
    assert cli.main(["watch", str(run), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ddpg-jax: error: " + message), error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_fails_leaves_the_one_before(run, tmp_path, capsys):
    output = tmp_path / "film.mp4"
    output.write_text("the one before")
    assert cli.main(["watch", str(run), "--env", "Breaking-v0", "--output", str(output)]) == 3
    assert "failed in the episode of seed" in (error := capsys.readouterr().err)
    assert "the lens is broken" in error
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]
    assert output.read_text() == "the one before"


class Faulting(Drawing):
    """Does something in the first step that is played."""

    how = None

    def step(self, action):
        obs, *rest = super().step(action)
        return Faulting.how(obs, *rest)


gymnasium.register("Faulting-v0", entry_point=Faulting)
HOW = {
    "SystemExit: 7": lambda *_: sys.exit(7),
    "ValueError: the observation is not finite in float32": lambda obs, *rest: (obs * np.nan, *rest, {}),
    "ValueError: the reward is not finite: nan": lambda obs, reward, *rest: (obs, np.nan, *rest),
    "ValueError: the observation has shape (1,), its space says (2,)": lambda obs, *rest: (obs[:1], *rest),
}


@pytest.mark.parametrize("words", HOW)
def test_an_environment_that_fails_while_it_is_filmed_is_named(words, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Faulting, "how", staticmethod(lambda *values: HOW[words](*values)[:5]))
    assert cli.main(["watch", str(run), "--env", "Faulting-v0", "--output", str(tmp_path / "a.gif")]) == 3
    error = capsys.readouterr().err
    assert "the environment failed in the episode of seed " in error
    assert error.endswith(f": {words}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_is_not_finite_is_not_filmed(run, tmp_path, capsys, monkeypatch):
    def broken(*arguments):
        found = load_policy(*arguments)
        return found._replace(params=jax.tree.map(lambda leaf: leaf * np.nan, found.params))

    monkeypatch.setattr(watch, "load_policy", broken)
    assert cli.main(["watch", str(run), "--output", str(tmp_path / "a.gif")]) == 4
    assert "the policy's action is not finite: [nan, nan]" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["watch", str(run), "--output", str(tmp_path / "file" / "film.mp4")]) == 5
    assert "cannot be written: " in (error := capsys.readouterr().err)
    assert "choose another --output" in error


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_full_disk_is_found(suffix, tmp_path):
    path = tmp_path / f"full{suffix}"
    path.symlink_to("/dev/full")

    def write():
        with write_video(path, (8, 8, 3), 30) as show:
            for step in range(100):
                show(np.full((8, 8, 3), step, np.uint8))

    with pytest.raises(StorageError, match="film cannot be written"):
        write()


def test_a_gif_keeps_the_time_and_runs_forever(tmp_path):
    with write_video(tmp_path / "fast.gif", (8, 10, 3), 100) as show:
        for step in range(50):
            show(np.full((8, 10, 3), 5 * step, np.uint8))
    picture = PIL.Image.open(tmp_path / "fast.gif")
    assert (picture.size, picture.n_frames, picture.info["loop"], picture.info["duration"]) == ((10, 8), 25, 0, 20)


def test_pictures_of_another_size_are_refused(tmp_path):
    with pytest.raises(EnvError, match="change from"), write_video(tmp_path / "a.mp4", (8, 8, 3), 30) as show:
        show(np.zeros((8, 10, 3), np.uint8))


def test_the_sheet_is_evenly_spaced_and_holds_little_of_a_long_episode():
    def episode():
        for step in range(3_001):
            yield Frame(np.zeros((300, 400, 3), np.uint8), step, -1.0 * step, "")

    tracemalloc.start()
    frames = sample(episode())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    steps = [frame.step for frame in frames]
    assert (steps[0], steps[-1], len(steps)) == (0, 3_000, COLUMNS)
    np.testing.assert_allclose(steps, np.linspace(0, 3_000, COLUMNS), atol=32)
    assert {frame.image.shape for frame in frames} == {(120, WIDTH, 3)}
    assert peak < 20e6, "3,000 pictures would have a gigabyte"


def test_what_the_user_set_for_drawing_stays(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_AUDIODRIVER", "PYGAME_HIDE_SUPPORT_PROMPT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUJOCO_GL", "mine")
    render_without_display()
    assert (os.environ["MUJOCO_GL"], os.environ["SDL_VIDEODRIVER"]) == ("mine", "dummy")
    monkeypatch.delenv("SDL_VIDEODRIVER")
    monkeypatch.setenv("DISPLAY", ":0")
    render_without_display()
    assert "SDL_VIDEODRIVER" not in os.environ, "there is a display"


def test_without_the_extra_its_name_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"pip install 'ddpg_jax\[watch\]'"):
        check_encoder()


def test_the_film_is_in_the_tensorboard_of_a_run_that_has_one(tmp_path, capsys):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = make_run(tmp_path / "run", "Drawing-v0")
    (run / "tensorboard").mkdir()
    assert cli.main(["watch", str(run), "--episodes", "1"]) == 0
    assert "film in TensorBoard: watch/film" in capsys.readouterr().out
    events = event_accumulator.EventAccumulator(str(run / "tensorboard")).Reload()
    (film,) = events.Images("watch/film")
    assert film.step == 0
    assert film.encoded_image_string.startswith(b"GIF8")
    with PIL.Image.open(io.BytesIO(film.encoded_image_string)) as picture:
        assert picture.size == (film.width, film.height)
        assert picture.n_frames > 1

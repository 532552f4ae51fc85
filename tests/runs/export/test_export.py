import json
import sys
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from policies import act_of, assert_is, elsewhere, make_policy
from worlds import Scripted

import ddpg_jax as dj
from ddpg_jax.config import Config, ConfigError
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.console.errors import NumericalError, StorageError
from ddpg_jax.runs.export import archive, load_policy, onnx_graph
from ddpg_jax.runs.export.formats import FORMATS
from ddpg_jax.runs.export.layers import Layer, policy_layers
from ddpg_jax.runs.export.observations import draw_observations
from ddpg_jax.runs.export.spaces import Spaces, inner_bounds, read_spaces
from ddpg_jax.runs.export.writer import export_policy
from ddpg_jax.runs.policy import Policy, policy_config
from ddpg_jax.runs.policy import load_policy as read_policy

TINY = [
    "--agent.hidden-sizes", "16", "8", "--replay.capacity", "1000", "--replay.batch-size", "8",
    "--train.total-steps", "300", "--train.start-steps", "50", "--train.update-after", "50", "--train.log-every", "100",
    "--train.eval-every", "0", "--train.final-eval-episodes", "2", "--agent.actor-lr", "1e-2",
    "--agent.normalization", "none",
]  # fmt: skip


class Picture(Scripted):
    """Whole numbers in two rows; bounds that float32 does not have, in a row of two."""

    observation_space = gymnasium.spaces.Box(0, 255, (2, 3), np.uint8)
    action_space = gymnasium.spaces.Box(np.array([[-1.0, -0.1]]), np.array([[3.0, 0.1]]), dtype=np.float64)

    def observe(self):
        return np.arange(6, dtype=np.uint8).reshape(2, 3) * (self.time + self.episode % 30)


gymnasium.register("Picture-v0", Picture)


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory):
    """A run of the command line, exported by it."""
    path = tmp_path_factory.mktemp("runs") / "a"
    assert cli.main(["train", *TINY, "--run-dir", str(path)]) == 0
    assert cli.main(["export", str(path)]) == 0
    return path


def run_policy(path):
    config = policy_config(path)
    spaces = read_spaces(config)
    return read_policy(path, config, spaces.spec, print), spaces


def contents(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


@pytest.mark.parametrize("normalize_obs", [True, False])
@pytest.mark.parametrize("normalization", ["layer", "batch", "none"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "elu", "gelu", "silu"])
def test_numpy_and_onnx_are_the_agent_for_every_network(activation, normalization, normalize_obs, tmp_path):
    spaces = read_spaces(Config(env="Pendulum-v1"))
    settings = {"activation": activation, "normalization": normalization, "normalize_obs": normalize_obs}
    policy, config = make_policy(spaces, **settings)
    export_policy(policy, config, "Pendulum-v1", spaces, ["numpy", "onnx"], tmp_path)
    for name in ("numpy", "onnx"):
        assert_is(FORMATS[name].load(tmp_path), policy, spaces)
    assert np.ptp(act_of(policy)(draw_observations(np.random.default_rng(0), spaces, 100))) > 0.01


@pytest.mark.parametrize("name", FORMATS)
def test_an_exported_run_is_its_policy(name, pendulum):
    policy, spaces = run_policy(pendulum)
    assert_is(FORMATS[name].load(pendulum / "export"), policy, spaces)


def test_observations_and_actions_keep_the_shapes_of_the_environment(tmp_path):
    spaces = read_spaces(Config(env="Picture-v0"))
    assert (spaces.spec.obs.shape, spaces.obs_dtype, spaces.action_shape) == ((2, 3), np.uint8, (1, 2))
    policy, config = make_policy(spaces, activation="gelu")
    export_policy(policy, config, "Picture-v0", spaces, list(FORMATS), tmp_path)
    for way in FORMATS.values():
        assert_is(way.load(tmp_path), policy, spaces)


def test_the_same_episodes_bring_the_same_return(pendulum):
    def play(act, seed):
        env = gymnasium.make("Pendulum-v1")
        obs, _ = env.reset(seed=seed)
        rewards = []
        for _ in range(200):
            obs, reward, *_ = env.step(np.asarray(act(obs[None]))[0])
            rewards.append(reward)
        return sum(rewards)

    policy, _ = run_policy(pendulum)
    acts = [jax.jit(lambda obs: dj.scale_action(policy.agent.act(policy.params, obs), policy.spec))]
    acts += [way.load(pendulum / "export") for way in FORMATS.values()]
    returns = np.array([[play(act, seed) for seed in (1, 2)] for act in acts])
    assert (returns < -1).all()
    np.testing.assert_allclose(returns, np.broadcast_to(returns[0], returns.shape), rtol=0, atol=1e-2)


OBS = "import json, numpy as np; obs = np.linspace(-1, 1, 21).reshape(7, 3)"
PRINT = "print(json.dumps(np.asarray(act(obs)).tolist()))"


def test_the_loader_needs_numpy_alone(pendulum):
    program = f"{OBS}\nfrom load_policy import load_policy\nact = load_policy('policy.npz')\n{PRINT}"
    blocked = ["jax", "jaxlib", "flax", "ddpg_jax", "gymnasium", "scipy", "onnx", "onnxruntime"]
    action = elsewhere(pendulum / "export", blocked, program)
    policy, _ = run_policy(pendulum)
    np.testing.assert_allclose(action, act_of(policy)(np.linspace(-1, 1, 21).reshape(7, 3)), rtol=0, atol=2e-5)
    assert len(Path(load_policy.__file__).read_text().splitlines()) <= 40


def test_stablehlo_runs_in_another_process_without_this_package(pendulum):
    load = "import jax; act = jax.export.deserialize(open('policy.stablehlo', 'rb').read()).call"
    action = elsewhere(pendulum / "export", ["ddpg_jax", "flax"], f"{OBS}\n{load}\n{PRINT}")
    policy, _ = run_policy(pendulum)
    np.testing.assert_allclose(action, act_of(policy)(np.linspace(-1, 1, 21).reshape(7, 3)), rtol=0, atol=2e-5)


def test_stablehlo_is_lowered_for_other_platforms(pendulum):
    exported = jax.export.deserialize(bytearray((pendulum / "export" / "policy.stablehlo").read_bytes()))
    assert set(exported.platforms) >= {"cpu", "cuda", "tpu"}


def test_only_the_export_folder_is_written_and_it_says_what_it_holds(pendulum, capsys):
    before = {file: time for file, time in contents(pendulum).items() if "export" not in file.parts}
    assert cli.main(["export", str(pendulum)]) == 0
    out = capsys.readouterr().out
    after = {file: time for file, time in contents(pendulum).items() if "export" not in file.parts}
    assert {**before, pendulum: 0} == {**after, pendulum: 0}
    about = json.loads((pendulum / "export" / "policy.json").read_text())
    assert (about["environment"], about["step"]) == ("Pendulum-v1", 300)
    assert about["observation"] == {"shape": [3], "dtype": "float32", "environment_dtype": "float32"}
    assert about["action"] == {"shape": [1], "dtype": "float32", "low": [-2.0], "high": [2.0]}
    assert set(about["greatest_difference"]) == {"stablehlo", "numpy", "onnx"}
    assert all(0 <= difference <= 1e-5 for difference in about["greatest_difference"].values())
    assert set(about["versions"]) >= {"jax", "numpy", "onnx", "onnxruntime", "ddpg_jax"}
    assert "Pendulum-v1 after 300 steps (evaluated in training: return -" in out
    assert "): observations float32[3] to actions float32[1]" in out
    for name, difference in about["greatest_difference"].items():
        assert f"greatest difference {difference:.1e}" in next(line for line in out.splitlines() if name in line)


def test_a_second_export_replaces_our_files_and_no_others(pendulum, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    assert cli.main(["export", str(pendulum), "--output", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 6
    assert cli.main(["export", str(pendulum), "--output", str(tmp_path), "--formats", "numpy"]) == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"notes.txt", "policy.npz", "load_policy.py", "policy.json"}
    assert (tmp_path / "notes.txt").read_text() == "precious"


def test_a_policy_that_is_not_the_agent_leaves_nothing_behind(tmp_path):
    spaces = read_spaces(Config(env="Pendulum-v1"))
    policy, _ = make_policy(spaces, activation="relu")
    wrong = dj.DDPGConfig(hidden_sizes=(16, 8), activation="elu")
    with pytest.raises(StorageError, match=r"written as numpy differs from the agent by up to .* and 1e-05 is allowed"):
        export_policy(policy, wrong, "Pendulum-v1", spaces, ["stablehlo", "numpy"], tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []
    broken = policy._replace(params=jax.tree.map(lambda leaf: leaf * jnp.nan, policy.params))
    with pytest.raises(NumericalError, match=r"gives actions that are not finite; nothing was written: train it anew"):
        export_policy(broken, wrong, "Pendulum-v1", spaces, ["stablehlo"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_ones_own_goes_out_as_stablehlo_only(tmp_path):
    spaces = read_spaces(Config(env="Pendulum-v1"))

    def apply(params, obs):
        return jnp.tanh(obs @ params["params"]["gain"])

    params = {"params": {"gain": jnp.array([[0.3], [-1.0], [2.0]])}}
    critic = dj.Network(lambda key: params, lambda params, obs, action: apply(params, obs)[:, 0] + action[:, 0])
    agent = dj.ddpg(spaces.spec, dj.DDPGConfig(), dj.Networks(dj.Network(lambda key: params, apply), critic))
    policy, config = Policy(spaces.spec, agent, params, 0), dj.DDPGConfig()
    found = export_policy(policy, config, "Pendulum-v1", spaces, ["stablehlo"], tmp_path)
    assert found["stablehlo"] <= 1e-6
    for name in ("numpy", "onnx"):
        with pytest.raises(ConfigError, match="networks of your own go out as StableHLO only"):
            export_policy(policy, config, "Pendulum-v1", spaces, [name], tmp_path / "no")
    assert not (tmp_path / "no").exists()


def saturated(spaces, sign):
    """A policy at one end of every action dimension."""
    policy, config = make_policy(spaces)
    last = policy.params["params"]["Dense_2"]
    last = {"kernel": jnp.zeros_like(last["kernel"]), "bias": jnp.full_like(last["bias"], sign * 50.0)}
    return policy._replace(params={"params": policy.params["params"] | {"Dense_2": last}}), config


@pytest.mark.parametrize("sign", [-1, 1])
def test_actions_at_the_bounds_are_in_the_action_space_to_the_last_bit(sign, tmp_path):
    spaces, box = read_spaces(Config(env="Picture-v0")), Picture.action_space
    # Rounded to the nearest float32, they would lie outside.
    assert (box.high.astype(np.float32) > box.high).any()
    assert (box.low.astype(np.float32) < box.low).any()
    policy, config = saturated(spaces, sign)
    export_policy(policy, config, "Picture-v0", spaces, list(FORMATS), tmp_path)
    for name, way in FORMATS.items():
        action = np.asarray(way.load(tmp_path)(Picture.observation_space.sample()[None]))[0]
        assert box.contains(action), (name, action)
        np.testing.assert_allclose(action, box.high if sign > 0 else box.low, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_ends_are_the_bounds_in_every_format(sign, tmp_path):
    # Bounds that (high + low)/2 + (high - low)/2, rounded to float32, does not reach.
    box = gymnasium.spaces.Box(np.float32([-1.9, -1.9, -1.8]), np.float32([0.2, 1.2, 1.4]))
    spec = dj.EnvSpec(jax.ShapeDtypeStruct((2,), jnp.float32), box.low.astype(float), box.high.astype(float))
    spaces = Spaces(spec, np.dtype(np.float32), -np.ones(2), np.ones(2), (3,))
    policy, config = saturated(spaces, sign)
    export_policy(policy, config, "made up", spaces, list(FORMATS), tmp_path)
    for name, way in FORMATS.items():
        action = np.asarray(way.load(tmp_path)(np.zeros((1, 2), np.float32)))[0]
        np.testing.assert_array_equal(action, box.high if sign > 0 else box.low, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.uint8, np.bool_])
def test_observations_are_taken_in_the_environments_own_dtype(dtype, tmp_path):
    low, high = (-1, 1) if np.issubdtype(dtype, np.floating) else (0, 1)
    box = gymnasium.spaces.Box(low, high, (2, 2), dtype)
    spec = dj.EnvSpec(
        jax.ShapeDtypeStruct((2, 2), jax.dtypes.canonicalize_dtype(dtype)), np.array([-1.0, 0.0]), np.array([3.0, 0.5])
    )
    spaces = Spaces(spec, np.dtype(dtype), box.low, box.high, (2,))
    policy, config = make_policy(spaces)
    export_policy(policy, config, "made up", spaces, list(FORMATS), tmp_path)
    obs = draw_observations(np.random.default_rng(1), spaces, 7)
    assert obs.dtype == dtype
    for name, way in FORMATS.items():
        action = np.asarray(way.load(tmp_path)(obs))
        np.testing.assert_allclose(action, act_of(policy)(obs), rtol=0, atol=2e-5, err_msg=name)
    assert np.ptp(act_of(policy)(obs)) > 0.1


def test_normalised_observations_are_one_layer_more(tmp_path):
    spaces = read_spaces(Config(env="Pendulum-v1"))
    policy, config = make_policy(spaces)
    mean, stddev = np.array([0.1, -0.2, 3.0]), np.array([0.5, 0.6, 4.0])
    rest, limits = np.array([0.01, 0.02, -0.1]), {"low": np.full(3, -0.7), "high": np.full(3, 0.7)}
    front = Layer("standardize", {"mean": mean, "rest": rest, "stddev": stddev, **limits})
    layers = (front, *policy_layers(policy, config))
    obs = draw_observations(np.random.default_rng(0), spaces, 500)
    expected = act_of(policy)(((obs - mean - rest) / stddev).clip(-0.7, 0.7).astype(np.float32))
    assert np.abs(expected - act_of(policy)(obs)).max() > 0.1
    for way in (archive, onnx_graph):
        way.write(tmp_path, layers, spaces)
        np.testing.assert_allclose(way.load(tmp_path)(obs), expected, rtol=0, atol=2e-5)


def test_gymnax_has_spaces_too():
    spaces = read_spaces(Config(env="gymnax/Pendulum-v1"))
    assert (spaces.spec.obs.shape, spaces.action_shape) == ((3,), (1,))
    assert spaces.obs_low.shape == spaces.obs_high.shape == (3,)


def test_random_observations_fill_the_bounds_and_stay_within_them():
    box = gymnasium.spaces.Box(np.array([-2, 0, -np.inf, 0]), np.array([3, np.inf, np.inf, 1e30]), dtype=np.float64)
    spec = dj.EnvSpec(jax.ShapeDtypeStruct((4,), jnp.float32), np.array([-1.0]), np.array([1.0]))
    obs = draw_observations(np.random.default_rng(0), Spaces(spec, np.dtype(float), box.low, box.high, (1,)), 10_000)
    assert ((obs >= box.low) & (obs <= box.high)).all()
    assert obs[:, 0].min() < -1.99
    assert obs[:, 0].max() > 2.99
    np.testing.assert_allclose(obs[:, 2].std(), 1, atol=0.05)
    assert 0 < obs[:, 1].max() < 10
    assert 0 < obs[:, 3].max() < 10


def test_inner_bounds_are_the_nearest_within():
    spec = dj.EnvSpec(jax.ShapeDtypeStruct((1,), jnp.float32), np.array([-0.1, -1.0, 0.7]), np.array([0.1, 0.3, 2.0]))
    for bound, inner, inwards in zip((spec.action_low, spec.action_high), inner_bounds(spec), (1, -1), strict=True):
        assert inner.dtype == np.float32
        assert ((inner - bound) * inwards >= 0).all()
        further = np.nextafter(inner, np.float32(-inwards * np.inf))
        assert ((further.astype(float) - bound) * inwards < 0).all()


def test_wrong_input_is_one_line_and_exit_2_and_nothing_written(pendulum, tmp_path, capsys):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("precious")
    link.symlink_to(tmp_path, target_is_directory=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text(json.dumps({"config": {}}))
    before = contents(tmp_path)
    for args, message in [
        ([str(tmp_path)], f"{tmp_path} holds no run"),
        ([str(empty)], f"{empty} holds no checkpoint yet"),
        ([str(pendulum), "--formats", "onyx"], "format 'onyx' is unknown; did you mean 'onnx'?"),
        ([str(pendulum), "--output", str(file)], f"output {file} cannot be a folder: {file} is a file"),
        ([str(pendulum), "--output", str(file / "x")], f"output {file / 'x'} cannot be a folder: {file} is a file"),
        ([str(pendulum), "--output", str(link)], f"output {link} is a link; name the folder itself"),
        ([str(pendulum), "--format", "onnx"], "option --format is unknown; did you mean --formats?"),
    ]:
        assert cli.main(["export", *args]) == 2
        error = capsys.readouterr().err
        assert error.startswith("ddpg-jax: error: " + message), error
        assert error.count("\n") == 1
    assert contents(tmp_path) == before


def test_a_missing_package_is_named_and_its_format_left_out(pendulum, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["export", str(pendulum), "--output", str(tmp_path), "--formats", "numpy", "onnx"]) == 2
    assert "format onnx needs onnx: pip install 'ddpg_jax[export]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    assert cli.main(["export", str(pendulum), "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "left out: stablehlo needs flatbuffers: pip install 'ddpg_jax[export]'" in out
    assert "left out: onnx needs onnx: pip install" in out
    assert {file.name for file in tmp_path.iterdir()} == {"policy.npz", "load_policy.py", "policy.json"}

"""Policies that see a Dict, as those trained with hindsight do."""

import importlib.util
import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from policies import act_of, assert_is, elsewhere, make_policy
from worlds import Reach, Scripted, Seeing

from ddpg_jax.agent.normalization import OBS, Moments
from ddpg_jax.config import Config
from ddpg_jax.runs.commands.export import sides
from ddpg_jax.runs.export import load_policy
from ddpg_jax.runs.export.formats import FORMATS
from ddpg_jax.runs.export.layers import obs_scale, policy_layers
from ddpg_jax.runs.export.observations import draw_observations, draw_seen
from ddpg_jax.runs.export.spaces import read_spaces
from ddpg_jax.runs.export.writer import export_policy


class Names(Scripted):
    """A Dict whose leaves have another order by their names with dots: "-" and " " come before "."."""

    observation_space = gymnasium.spaces.Dict(
        {
            "a-b": gymnasium.spaces.Box(-1, 1, (3,), np.float32),
            "a b": gymnasium.spaces.Box(-1, 1, (), np.float64),
            "a": gymnasium.spaces.Dict(y=gymnasium.spaces.Box(-1, 1, (1, 2)), x=gymnasium.spaces.Box(-9, 9, (2,), int)),
        }
    )


for world in (Names, Reach, Seeing):
    gymnasium.register(f"{world.__name__}-v0", world)


@pytest.fixture(scope="module")
def reach(tmp_path_factory):
    """A folder with a policy in every format, and the policy."""
    folder, spaces = tmp_path_factory.mktemp("reach"), read_spaces(Config(env="Reach-v0"))
    policy, config = make_policy(spaces, normalize_obs=True, normalization="none")
    export_policy(policy, config, "Reach-v0", spaces, list(FORMATS), folder)
    return folder, policy, spaces


def far(obs):
    """Observations of which some are far out, where the agent clips them."""
    return jax.tree.map(lambda leaf: leaf * 100 if leaf.dtype == float else leaf, obs)


@pytest.mark.parametrize("normalize_obs", [True, False])
@pytest.mark.parametrize("env_id", ["Names-v0", "Reach-v0", "Seeing-v0"])
def test_every_format_takes_the_dict_and_is_the_agent(env_id, normalize_obs, tmp_path):
    spaces = read_spaces(Config(env=env_id))
    policy, config = make_policy(spaces, normalize_obs=normalize_obs)
    export_policy(policy, config, env_id, spaces, list(FORMATS), tmp_path)
    obs = far(draw_observations(np.random.default_rng(1), spaces, 100))
    assert act_of(policy)(obs).std() > 0.01
    for name, way in FORMATS.items():
        act = way.load(tmp_path)
        assert_is(act, policy, spaces)
        np.testing.assert_allclose(
            np.asarray(act(obs)).reshape(100, -1), act_of(policy)(obs), rtol=0, atol=2e-5, err_msg=name
        )


def test_every_leaf_has_a_say(reach):
    folder, policy, spaces = reach
    obs = draw_observations(np.random.default_rng(0), spaces, 1)
    for key in obs:
        other = obs | {key: obs[key] + 0.5}
        expected = act_of(policy)(other) - act_of(policy)(obs)
        assert np.abs(expected).max() > 0.01
        for way in FORMATS.values():
            act = way.load(folder)
            np.testing.assert_allclose(np.asarray(act(other)) - np.asarray(act(obs)), expected, rtol=0, atol=2e-5)


def test_the_loader_takes_a_dict_with_numpy_alone(reach):
    folder, policy, _ = reach
    obs = {name: np.linspace(-1, 1, 6).reshape(3, 2) * sign for name, sign in zip(GOALS, (1, -1, 2), strict=True)}
    given = {name: array.tolist() for name, array in obs.items()}
    program = (
        f"import json\nfrom load_policy import load_policy\nact = load_policy('policy.npz')\n"
        f"print(json.dumps(act({given}).tolist()))"
    )
    action = elsewhere(folder, ["jax", "jaxlib", "flax", "ddpg_jax", "gymnasium", "onnx", "onnxruntime"], program)
    np.testing.assert_allclose(action, act_of(policy)(obs), rtol=0, atol=2e-5)
    with pytest.raises(KeyError, match="desired_goal"):
        load_policy.load_policy(str(folder / "policy.npz"))({name: obs[name] for name in GOALS[::2]})


GOALS = ("achieved_goal", "desired_goal", "observation")


def test_stablehlo_takes_a_dict_without_this_package(reach):
    folder, policy, _ = reach
    program = (
        "import json, jax, numpy as np\n"
        "act = jax.export.deserialize(bytearray(open('policy.stablehlo', 'rb').read())).call\n"
        f"obs = dict(zip({GOALS}, np.linspace(-1, 1, 18).reshape(3, 3, 2)))\n"
        "print(json.dumps(np.asarray(act(obs)).tolist()))"
    )
    obs = dict(zip(GOALS, np.linspace(-1, 1, 18).reshape(3, 3, 2), strict=True))
    np.testing.assert_allclose(elsewhere(folder, ["ddpg_jax", "flax"], program), act_of(policy)(obs), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("env_id", "expected"),
    [
        ("Pendulum-v1", [("observation", "tensor(float)", ["batch", 3])]),
        (
            "Seeing-v0",
            [
                ("observation.camera", "tensor(uint8)", ["batch", 2, 3, 1]),
                ("observation.joints.time", "tensor(double)", ["batch"]),
                ("observation.joints.who", "tensor(bool)", ["batch", 10]),
            ],
        ),
        (
            "Names-v0",
            [
                ("observation.a.x", "tensor(int64)", ["batch", 2]),
                ("observation.a.y", "tensor(float)", ["batch", 1, 2]),
                ("observation.a b", "tensor(double)", ["batch"]),
                ("observation.a-b", "tensor(float)", ["batch", 3]),
            ],
        ),
    ],
)
def test_onnx_has_an_input_for_each_leaf(env_id, expected, tmp_path):
    import onnxruntime

    spaces = read_spaces(Config(env=env_id))
    policy, config = make_policy(spaces)
    FORMATS["onnx"].write(tmp_path, policy, config, spaces)
    session = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx"), providers=["CPUExecutionProvider"])
    assert [(item.name, item.type, item.shape) for item in session.get_inputs()] == expected


def test_what_is_written_says_shape_and_dtype_of_each_leaf(tmp_path):
    spaces = read_spaces(Config(env="Seeing-v0"))
    export_policy(*make_policy(spaces), "Seeing-v0", spaces, ["numpy"], tmp_path)
    about = json.loads((tmp_path / "policy.json").read_text())
    assert about["observation"] == {
        "camera": {"shape": [2, 3, 1], "dtype": "uint8", "environment_dtype": "uint8"},
        "joints": {
            "time": {"shape": [], "dtype": "float32", "environment_dtype": "float64"},
            "who": {"shape": [10], "dtype": "bool", "environment_dtype": "bool"},
        },
    }
    expected = "observations camera uint8[2, 3, 1], joints.time float64[], joints.who bool[10] to actions float32[2]"
    assert sides(spaces).startswith(expected)


def moments(mean, stddev, rest=0.0):
    """What is known after a hundred numbers of such a mean, with a rest of it, and standard deviation."""
    mean, stddev = jnp.asarray(mean, jnp.float32), jnp.asarray(stddev, jnp.float32)
    return Moments(jnp.uint32(100), mean, stddev, rest * jnp.ones_like(mean), jnp.zeros_like(stddev))


def test_leaves_without_moments_stay_as_they_are_among_those_with():
    spec = read_spaces(Config(env="Names-v0")).spec
    variables = {OBS: [moments([[1, 2]], [[0.5, 4]]), moments(3, 2), moments([4, 5, 6], [1, 1, 8])]}
    front = obs_scale(variables, spec.obs)
    inf = np.inf
    assert front.kind == "standardize"
    for name, expected in {
        "mean": [0, 0, 1, 2, 3, 4, 5, 6],
        "rest": [0, 0, 0, 0, 0, 0, 0, 0],
        "stddev": [1, 1, 0.5, 4, 2, 1, 1, 8],
        "low": [-inf, -inf, *[-10] * 6],
        "high": [inf, inf, *[10] * 6],
    }.items():
        np.testing.assert_allclose(front.arrays[name], expected, rtol=1e-6, err_msg=name)
    assert obs_scale({}, spec.obs) is None
    assert obs_scale({OBS: []}, spec.obs) is None


def test_a_mean_of_many_deviations_costs_no_digits(tmp_path):
    spaces = read_spaces(Config(env="Reach-v0"))
    policy, config = make_policy(spaces, normalize_obs=True, normalization="none")
    # Where a gripper is, in metres, while it moves by millimetres.
    policy.params[OBS] = [moments([1.3, 0.7], [0.001, 0.001])] * 3
    obs = draw_seen(np.random.default_rng(0), policy.params, spaces, 1000)
    assert np.ptp(act_of(policy)(obs)) > 0.5
    for name in ("numpy", "onnx"):
        FORMATS[name].write(tmp_path, policy, config, spaces)
        assert np.abs(FORMATS[name].load(tmp_path)(obs) - act_of(policy)(obs)).max() <= 1e-5, name


def test_the_rest_of_a_mean_goes_out_with_it(tmp_path):
    spaces = read_spaces(Config(env="Reach-v0"))
    policy, config = make_policy(spaces, normalize_obs=True, normalization="none")
    # In float32 the mean itself is off by a quarter of a deviation.
    policy.params[OBS] = [moments([1.5, -1.5], [1e-7, 1e-7], rest=2.5e-8)] * 3
    low, high = np.float32(1.5) - np.float32(4e-7), np.float32(1.5) + np.float32(4e-7)
    draw = np.random.default_rng(0).uniform(low, high, (1000, 2)) * [1, -1]
    obs = {name: draw.astype(np.float64) for name in spaces.spec.obs}
    assert np.ptp(act_of(policy)(obs)) > 0.1
    for name in ("numpy", "onnx"):
        FORMATS[name].write(tmp_path, policy, config, spaces)
        assert np.abs(FORMATS[name].load(tmp_path)(obs) - act_of(policy)(obs)).max() <= 1e-5, name


def test_formats_are_compared_on_what_the_actor_has_seen():
    spaces = read_spaces(Config(env="Seeing-v0"))
    variables = {OBS: [moments(50.0, 0.1)]}
    obs = draw_seen(np.random.default_rng(0), variables, spaces, 10_000)
    time = obs["joints"]["time"]
    assert (time.shape, time.dtype) == ((10_000,), np.float64)
    np.testing.assert_allclose([time.min(), time.max()], [49.9, 50.1], atol=1e-3)
    np.testing.assert_allclose(time.mean(), 50, atol=0.01)
    assert (obs["camera"].min(), obs["camera"].max(), obs["camera"].dtype) == (0, 255, np.uint8)
    bounded = read_spaces(Config(env="Reach-v0"))
    for leaf in draw_seen(np.random.default_rng(0), {OBS: [moments([2, 2], [1, 1])] * 3}, bounded, 100).values():
        assert leaf.max() == 2
    alike = (
        draw_seen(np.random.default_rng(0), {}, bounded, 100),
        draw_observations(np.random.default_rng(0), bounded, 100),
    )
    jax.tree.map(np.testing.assert_array_equal, *alike)


# Importing the package here would register its ids, which is for `read_spaces` to do.
@pytest.mark.skipif(importlib.util.find_spec("gymnasium_robotics") is None, reason="needs gymnasium-robotics")
def test_a_robot_of_gymnasium_robotics_leaves_the_house(tmp_path):
    spaces = read_spaces(Config(env="FetchReach-v4"))
    assert {name: leaf.shape for name, leaf in spaces.obs_low.items()} == dict(
        zip(GOALS, [(3,), (3,), (10,)], strict=True)
    )
    policy, config = make_policy(spaces, normalize_obs=True)
    found = export_policy(policy, config, "FetchReach-v4", spaces, ["numpy", "onnx"], tmp_path)
    assert set(found) == {"numpy", "onnx"}
    assert len(policy_layers(policy, config)[0].arrays["mean"]) == 16

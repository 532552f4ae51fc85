"""Models of Stable-Baselines3 give the same numbers here, and nothing in their files is executed."""

import importlib
import io
import json
import pathlib
import pickle
import re
import struct
import tracemalloc
import zipfile

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sb3.make_fixtures import HIGH, LOW, OBS_DIM, make_env, outputs, train

from ddpg_jax import Batch, ConfigError, DDPGConfig, EnvSpec, ddpg, make_evaluate, scale_action
from ddpg_jax.envs.gymnasium import from_factory
from ddpg_jax.runs.interop.stable_baselines3 import load_stable_baselines3
from ddpg_jax.runs.interop.torch_tensors import LARGEST_PROGRAM, read_tensors

FOLDER = pathlib.Path(__file__).parent / "sb3"
TOLERANCE = 1e-6


def make_spec(shape=(OBS_DIM,), low=LOW, high=HIGH, dtype=np.float32):
    return EnvSpec(jax.ShapeDtypeStruct(shape, dtype), np.float32(low), np.float32(high))


SPEC = make_spec()


def differences(found, spec, expected):
    """Greatest difference of actor, critics, their targets, and the action in the environment's unit, as a share
    of what is expected where that is beyond 1: float32 has seven digits."""
    agent = ddpg(spec, found.config)
    ours = {}
    for prefix, params in (("", found.params), ("target_", found.target_params)):
        ours[prefix + "act"] = agent.act(params.actor, expected["obs"])
        ours[prefix + "q"] = agent.q_values(params.critic, expected["obs"], expected["action"])
    ours["act_env"] = scale_action(ours["act"], spec)
    assert all(ours[name].shape == expected[name].shape for name in ours)
    return {
        name: float((np.abs(ours[name] - expected[name]) / np.maximum(1, np.abs(expected[name]))).max())
        for name in ours
    }


@pytest.fixture(params=["ddpg", "td3"])
def name(request):
    return request.param


def test_outputs_are_those_of_stable_baselines3(name):
    found, expected = load_stable_baselines3(FOLDER / f"{name}.zip", SPEC), np.load(FOLDER / f"{name}.npz")
    assert max(differences(found, SPEC, expected).values()) <= TOLERANCE
    assert np.abs(expected["q"] - expected["target_q"]).max() > 1e-3, "the targets are others"
    assert np.ptp(expected["act"], axis=0).min() > 1e-3


def test_the_config_is_what_the_file_says():
    rates = {"normalization": "none", "actor_lr": 0.003, "critic_lr": 0.003, "tau": 0.005}
    assert load_stable_baselines3(FOLDER / "ddpg.zip", SPEC).config == DDPGConfig(
        (7, 5), policy_delay=1, target_noise=0.0, target_noise_clip=0.0, **rates
    )
    assert load_stable_baselines3(str(FOLDER / "td3.zip"), SPEC).config == DDPGConfig(
        (6,), critic_hidden_sizes=(5, 4), activation="tanh", num_critics=2, policy_delay=2, target_noise=0.2, **rates
    )


def test_the_parameters_have_the_tree_of_an_agent(name):
    found = load_stable_baselines3(FOLDER / f"{name}.zip", SPEC)
    like = jax.eval_shape(ddpg(SPEC, found.config).init, jax.random.key(0))
    for ours, made in ((found.params, like.params), (found.target_params, like.target_params)):
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), ours) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), made
        )


def test_an_activation_that_is_given_is_taken():
    found = load_stable_baselines3(FOLDER / "td3.zip", SPEC, activation="elu")
    assert found.config.activation == "elu"
    with pytest.raises(ConfigError, match=r"td3.zip: activation = 'sine' must be one of 'relu'"):
        load_stable_baselines3(FOLDER / "td3.zip", SPEC, activation="sine")


def test_it_is_evaluated_and_goes_on_learning():
    env = from_factory(make_env)
    found = load_stable_baselines3(FOLDER / "td3.zip", env.spec)
    agent = ddpg(env.spec, found.config)
    evaluation = make_evaluate(env, agent.act, num_episodes=3)(
        jax.random.key(0), found.params.actor, lambda steps, episodes: None
    )
    assert np.isfinite(evaluation.returns).all()
    state = agent.init(jax.random.key(0))._replace(params=found.params, target_params=found.target_params)
    rows = np.load(FOLDER / "td3.npz")
    ones = jnp.ones(len(rows["obs"]))
    batch = Batch(rows["obs"], rows["action"], ones, 0.9 * ones, rows["obs"], ones)
    update = jax.jit(agent.update, donate_argnums=1)
    losses = []
    for step in range(60):
        state, info = update(jax.random.fold_in(jax.random.key(1), step), state, batch)
        losses.append(float(info.critic_loss))
    assert losses[-1] < losses[0] / 2


# A program of `torch.save`, written by hand: what it does with a tensor is known byte for byte.


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(key, size, shape, strides, offset=0, kind="FloatStorage", function="torch._utils\n_rebuild_tensor_v2"):
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(size) + b"tQ"
    arguments = storage + number(offset) + numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return f"c{function}\n".encode() + b"(" + arguments + b"tR"


def program(**tensors):
    items = b"".join(text(name) + code for name, code in tensors.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."


def saved(code, byteorder=b"little", **storages):
    """A file as `torch.save` writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        if byteorder:
            archive.writestr("archive/byteorder", byteorder)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return file.getvalue()


SIX = np.arange(6)


@pytest.mark.parametrize(
    ("kind", "dtype"), [("FloatStorage", "f4"), ("DoubleStorage", "f8"), ("HalfStorage", "f2"), ("LongStorage", "i8")]
)
@pytest.mark.parametrize(("byteorder", "sign"), [(b"little", "<"), (b"big", ">"), (None, "<")])
def test_tensors_of_each_dtype_and_byte_order(kind, dtype, byteorder, sign):
    file = saved(program(w=tensor("a", 6, (2, 3), (3, 1), kind=kind)), byteorder, a=SIX.astype(sign + dtype).tobytes())
    found = read_tensors(file)["w"]
    assert found.dtype.itemsize == np.dtype(dtype).itemsize
    np.testing.assert_array_equal(found, [[0, 1, 2], [3, 4, 5]])


def test_strides_and_offsets_are_honoured_and_storages_shared():
    code = program(
        transposed=tensor("a", 6, (3, 2), (1, 3)), part=tensor("a", 6, (2,), (2,), 1), one=tensor("a", 6, (), (), 5)
    )
    found = read_tensors(saved(code, a=SIX.astype("<f4").tobytes()))
    np.testing.assert_array_equal(found["transposed"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["part"], [1, 3])
    assert found["one"] == 5


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def evil_command(path):
    return b"cos\nsystem\n(" + text(f"touch {path}") + b"tR."


A = tensor("a", 6, (2, 3), (3, 1))
REFUSED = {
    "a command": (evil_command("/nowhere"), r"refers to 'os.system', which no dict of plain tensors needs"),
    "a class by its name on the stack": (b"\x80\x04" + text("os") + text("system") + b"\x93)R.", "STACK_GLOBAL"),
    "an object": (b"\x80\x02(ccollections\nOrderedDict\no.", "instruction OBJ"),
    "an instance": (b"\x80\x02(icollections\nOrderedDict\n.", "instruction INST"),
    "a new object": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "instruction NEWOBJ"),
    "an extension": (b"\x80\x02\x82\x01.", "instruction EXT1"),
    "another function": (program(w=tensor("a", 6, (6,), (1,), function="builtins\ngetattr")), "'builtins.getattr'"),
    "a function that is data": (b"\x80\x02" + text("os") + b")R.", "calls a function"),
    "a state": (b"\x80\x02}}" + text("__class__") + number(1) + b"sb.", "sets the state of an object"),
    "another storage": (program(w=tensor("a", 6, (6,), (1,), kind="ComplexStorage")), "'torch.ComplexStorage'"),
    "a dict for a name": (b"\x80\x02}}" + number(1) + b"s.", "something else"),
    "a tensor alone": (b"\x80\x02" + A + b".", "something else"),
    "a list": (b"\x80\x02].", "instruction EMPTY_LIST"),
    "a number": (program(w=number(1)), "something else"),
    "negative sizes": (program(w=tensor("a", 6, (-2, -3), (3, 1))), "not plain"),
    "sizes without strides": (program(w=tensor("a", 6, (6,), ())), "not plain"),
    "too few values": (b"\x80\x02(tR.", "damaged: IndexError"),
    "what was never stored": (b"\x80\x02h\x07.", "damaged: KeyError"),
    "no end": (program(w=A)[:-1], "damaged: ValueError"),
    "half": (program(w=A)[:60], "damaged: ValueError"),
    "nothing": (b"", "damaged: ValueError"),
    "no program": (b"hello", "damaged|instruction"),
    "two results": (b"\x80\x02}}.", "damaged: ValueError"),
    "a program too long": (b"\x80\x02" + b"}" * LARGEST_PROGRAM, f"more than the {LARGEST_PROGRAM} it may have"),
    "beyond its storage": (program(w=tensor("a", 6, (2, 3), (4, 1))), r"'w' of shape \(2, 3\) does not fit"),
    "an offset beyond": (program(w=tensor("a", 6, (6,), (1,), offset=1)), "does not fit its storage of 6 numbers"),
    "one number many times": (program(w=tensor("a", 6, (10**9, 10**9), (0, 0))), "does not fit"),
    "an empty one": (program(w=tensor("a", 6, (0, 3), (3, 1))), "does not fit"),
    "more than the file holds": (program(w=tensor("a", 10**9, (10**9,), (1,))), "claims more numbers"),
    "less than the storage holds": (program(w=tensor("a", 5, (5,), (1,))), "'archive/data/a' has 24 bytes"),
    "more than the storage holds": (program(w=tensor("a", 7, (7,), (1,))), "'archive/data/a' has 24 bytes, not 28"),
    "a storage that is not there": (program(w=tensor("../../a", 6, (6,), (1,))), "holds no 'archive/data/../../a'"),
}


@pytest.mark.parametrize(("code", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_programs_that_are_no_dict_of_plain_tensors_are_refused(code, message):
    with pytest.raises(ConfigError, match=message):
        read_tensors(saved(code, a=SIX.astype("<f4").tobytes()))


def test_deeply_nested_values_do_not_end_the_process():
    deep = b"\x80\x02}" + b")" + b"\x85" * 200_000
    for code in (deep + b"K\x01s.", b"\x80\x02}K\x01" + deep[3:] + b"s.", deep + b"R.", deep + b"Q."):
        with pytest.raises(ConfigError):
            read_tensors(saved(code))


def rewritten(source, target, **members):
    """A copy of a zip file with other contents for some members, None to leave one out."""
    with zipfile.ZipFile(FOLDER / source) as old, zipfile.ZipFile(target, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()} | {
            name.replace("_pth", ".pth"): content for name, content in members.items()
        }
        for name, content in contents.items():
            if content is not None:
                new.writestr(name, content)
    return target


def test_nothing_in_a_malicious_file_runs(tmp_path):
    proof = tmp_path / "proof"
    path = tmp_path / "model.zip"
    for code in (pickle.dumps(Evil(proof), protocol=2), evil_command(proof)):
        rewritten("ddpg.zip", path, policy_pth=saved(code))
        with pytest.raises(ConfigError, match=r"model.zip: policy.pth: refers to '[a-z._]+\w*', which no dict"):
            load_stable_baselines3(path, SPEC)
    assert not proof.exists()
    pickle.loads(code)  # noqa: S301
    assert proof.exists(), "it would have"


def test_the_pickles_among_the_settings_are_not_touched(tmp_path):
    proof = tmp_path / "proof"
    with zipfile.ZipFile(FOLDER / "ddpg.zip") as archive:
        data = json.loads(archive.read("data"))
    for value in data.values():
        if isinstance(value, dict) and ":serialized:" in value:
            value[":serialized:"] = evil_command(proof).decode("latin1")
    path = rewritten("ddpg.zip", tmp_path / "model.zip", data=json.dumps(data))
    assert load_stable_baselines3(path, SPEC).config.hidden_sizes == (7, 5)
    assert not proof.exists()


def test_damaged_and_truncated_files_are_refused_or_give_the_same(tmp_path, name):
    whole, path = (FOLDER / f"{name}.zip").read_bytes(), tmp_path / "model.zip"
    expected = load_stable_baselines3(FOLDER / f"{name}.zip", SPEC)
    rng = np.random.default_rng(0)
    for length in rng.integers(0, len(whole), 30):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match=r"model.zip: "):
            load_stable_baselines3(path, SPEC)
    refused = 0
    for place, bit in zip(rng.integers(0, len(whole), 60), rng.integers(0, 8, 60), strict=True):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        try:
            found = load_stable_baselines3(path, SPEC)
        except ConfigError:
            refused += 1
        else:  # in a part that is not read
            assert all(map(np.array_equal, jax.tree.leaves(found), jax.tree.leaves(expected)))
    assert refused > 10


def changed_data(tmp_path, change):
    with zipfile.ZipFile(FOLDER / "td3.zip") as archive:
        data = json.loads(archive.read("data"))
    change(data)
    return rewritten("td3.zip", tmp_path / "model.zip", data=json.dumps(data))


OTHER_DATA = {
    "another algorithm": (
        lambda data: data["policy_class"].update(__module__="stable_baselines3.sac.policies"),
        "holds a policy of 'stable_baselines3.sac.policies'; only DDPG and TD3",
    ),
    "no policy": (lambda data: data.pop("policy_class"), "holds a policy of None"),
    "a policy of its own": (lambda data: data["policy_class"].update(__module__="my.policies"), "'my.policies'"),
    "an extractor of its own": (
        lambda data: data["policy_kwargs"].update(features_extractor_class="<class 'my.Extractor'>"),
        "has the features extractor \"<class 'my.Extractor'>\"",
    ),
    "a Dict": (
        lambda data: data["observation_space"].update({":type:": "<class 'gymnasium.spaces.dict.Dict'>"}),
        "not those that see a Dict",
    ),
    "another activation": (
        lambda data: data["policy_kwargs"].update(activation_fn="<class 'torch.nn.modules.activation.GELU'>"),
        "give the nearest one of ours as `activation`",
    ),
    "settings of another type": (lambda data: data.update(tau="fast", policy_delay=0), r"tau = 'fast' must be float"),
}


@pytest.mark.parametrize(("change", "message"), OTHER_DATA.values(), ids=OTHER_DATA.keys())
def test_models_that_we_cannot_be_are_refused_by_name(tmp_path, change, message):
    with pytest.raises(ConfigError, match=r"model.zip: .*" + re.escape(message).replace(r"\ ", " ")):
        load_stable_baselines3(changed_data(tmp_path, change), SPEC)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (make_spec((4,)), "sees 3 numbers and gives actions of 2, where this environment shows 4 and takes 2"),
        (make_spec(low=[-1], high=[1]), "where this environment shows 3 and takes 1"),
        (make_spec((8, 8, 3), dtype=np.uint8), "not those that see images"),
        (SPEC._replace(obs={"observation": SPEC.obs}), "not those that see a Dict"),
    ],
)
def test_other_spaces_are_refused(name, spec, message):
    with pytest.raises(ConfigError, match=rf"{name}.zip: .*{message}"):
        load_stable_baselines3(FOLDER / f"{name}.zip", spec)


def policy_of(tmp_path, **changes):
    """The real TD3 with some tensors changed, `(shape)`, or left out, None."""
    with zipfile.ZipFile(FOLDER / "td3.zip") as archive:
        tensors = {name: value.shape for name, value in read_tensors(archive.read("policy.pth")).items()}
    shapes = {name: shape for name, shape in (tensors | changes).items() if shape is not None}
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    codes = {
        name: tensor(name, sizes[name], shape, [int(np.prod(shape[i + 1 :])) for i in range(len(shape))])
        for name, shape in shapes.items()
    }
    storages = {name: np.zeros(size, "<f4").tobytes() for name, size in sizes.items()}
    return rewritten("td3.zip", tmp_path / "model.zip", policy_pth=saved(program(**codes), **storages))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"critic.qf1.2.weight": (4, 6)}, r"'critic.qf1.2.weight' has the shape \(4, 6\), not \(4, 5\)"),
        ({"critic_target.qf0.4.bias": (2,)}, r"'critic_target.qf0.4.bias' has the shape \(2,\), not \(1,\)"),
        ({"actor.mu.2.weight": ()}, r"'actor.mu.2.weight' has the shape \(\), not \(2, 6\)"),
        ({"actor.mu.0.weight": ()}, "sees 1 numbers"),
        ({"actor_target.mu.0.bias": None}, "has no tensor 'actor_target.mu.0.bias'"),
        ({"actor.mu.1.weight": (6,)}, "has the tensor 'actor.mu.1.weight', which plain perceptrons do not have"),
        ({"actor.features_extractor.cnn.0.weight": (8, 3, 4, 4)}, "has the tensor 'actor.features_extractor.cnn.0.we"),
        ({"actor.mu.0.bias": None}, "has the tensor 'actor.mu.2.bias'"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=r"model.zip: .*" + message):
        load_stable_baselines3(policy_of(tmp_path, **changes), SPEC)


def test_files_that_are_no_models_are_refused(tmp_path):
    path = tmp_path / "model.zip"
    with pytest.raises(ConfigError, match=r"model.zip: .*No such file"):
        load_stable_baselines3(path, SPEC)
    path.write_text("weights")
    with pytest.raises(ConfigError, match="cannot be read as a zip archive"):
        load_stable_baselines3(path, SPEC)
    for members, message in (
        ({"policy_pth": None}, "holds no 'policy.pth'"),
        ({"policy_pth": saved(b"").replace(b"data.pkl", b"data.txt")}, "policy.pth: holds 0 files data.pkl"),
        ({"policy_pth": b"weights"}, "policy.pth: cannot be read as a zip archive"),
        ({"data": None}, "holds no 'data'"),
        ({"data": b"{"}, "'data' is no JSON"),
        ({"data": b"[" * 100_000}, "'data' is no JSON"),
        ({"data": b"[1]"}, "'data' holds no settings by name"),
    ):
        with pytest.raises(ConfigError, match=f"model.zip: {message}"):
            load_stable_baselines3(rewritten("td3.zip", path, **members), SPEC)


def test_a_bomb_is_not_unpacked(tmp_path):
    """A member of a few bytes that says it has 100 MB, and one that says it has a thousand."""
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", bytes(100_000_000))
    with pytest.raises(ConfigError, match="'data' has 100000000 bytes, more than the 64000000 it may have"):
        load_stable_baselines3(path, SPEC)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 100_000_000), struct.pack("<I", 1_000)))
    tracemalloc.start()
    with pytest.raises(ConfigError, match="'data' is damaged: Bad CRC-32"):
        load_stable_baselines3(path, SPEC)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000, "it was never unpacked"


# With Stable-Baselines3 installed: fresh models of other sizes, and other algorithms for real.

FRESH = {
    "ddpg": ("ddpg", [64, 64], None, {}),
    "td3": ("td3", {"pi": [400, 300], "qf": [256, 128, 64]}, "silu", {}),
    "td3 of three critics": ("td3", [32], "elu", {"num_critics": 3, "learning_rate": lambda left: 1e-3 * left}),
}


@pytest.mark.parametrize(("algorithm", "net_arch", "activation", "settings"), FRESH.values(), ids=FRESH.keys())
def test_fresh_models_give_the_same_outputs(tmp_path, record_property, algorithm, net_arch, activation, settings):
    pytest.importorskip("stable_baselines3")
    low, high = [-1.0, -2.0, 0.5], [1.0, 3.0, 0.75]
    model = train(algorithm, net_arch, activation, make_env(11, low, high), **{"learning_rate": 1e-3, **settings})
    model.save(tmp_path / "model.zip")
    spec = make_spec((11,), low, high)
    found = differences(load_stable_baselines3(tmp_path / "model.zip", spec), spec, outputs(model, 1_000))
    record_property("greatest difference", found)
    assert max(found.values()) <= TOLERANCE, found


@pytest.mark.parametrize("algorithm", ["sac", "ppo"])
def test_other_algorithms_are_refused_for_real(tmp_path, algorithm):
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    model = getattr(stable_baselines3, algorithm.upper())("MlpPolicy", make_env())
    model.save(tmp_path / "model.zip")
    with pytest.raises(ConfigError, match="only DDPG and TD3"):
        load_stable_baselines3(tmp_path / "model.zip", SPEC)


def test_images_and_dicts_are_refused_for_real(tmp_path):
    stable_baselines3 = pytest.importorskip("stable_baselines3")

    class Seen(gymnasium.ObservationWrapper):
        def __init__(self, space):
            super().__init__(make_env())
            self.observation_space = space

        def observation(self, obs):
            return self.observation_space.sample()

    image = gymnasium.spaces.Box(0, 255, (36, 36, 3), np.uint8)
    vectors = gymnasium.spaces.Dict({"a": gymnasium.spaces.Box(-1, 1, (1,)), "b": gymnasium.spaces.Box(-1, 1, (2,))})
    for space, policy, message in (
        (image, "CnnPolicy", "has the tensor 'actor.features_extractor"),
        (vectors, "MultiInputPolicy", "not those that see a Dict"),
    ):
        stable_baselines3.TD3(policy, Seen(space), buffer_size=10).save(tmp_path / "model.zip")
        with pytest.raises(ConfigError, match=message):
            load_stable_baselines3(tmp_path / "model.zip", SPEC)


def test_the_old_name_still_loads_and_says_the_new_one():
    with pytest.warns(DeprecationWarning, match=r"is now ddpg_jax.runs.interop.stable_baselines3"):
        old = importlib.import_module("ddpg_jax.runs.stable_baselines3")
    assert old.load_stable_baselines3 is load_stable_baselines3

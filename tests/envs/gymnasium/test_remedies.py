"""Each remedy that a refused space names, done to the letter: the environment is then taken, and can be played."""

import re

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Text,
    Tuple,
    flatten,
    flatten_space,
)
from gymnasium.wrappers import (
    DtypeObservation,
    FilterObservation,
    FlattenObservation,
    TransformAction,
    TransformObservation,
)

from ddpg_jax.envs.gymnasium.factory import make_checked
from ddpg_jax.envs.gymnasium.goals import goals_problem
from ddpg_jax.envs.gymnasium.host import Host
from ddpg_jax.envs.gymnasium.spaces import read_spec
from ddpg_jax.envs.protocol import EnvError


class Sampled(gymnasium.Env):
    """Shows samples of its space, and takes only actions of its space."""

    def __init__(self, action_space, observation_space):
        self.action_space, self.observation_space = action_space, observation_space

    def observe(self):
        return self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        self.observation_space.seed(seed)
        return self.observe(), {}

    def step(self, action):
        space = self.action_space
        if isinstance(space, Box):  # sampling and `contains` do not know bounds without meaning
            assert np.shape(action) == space.shape
            assert np.isfinite(action).all()
            assert not ((action < space.low) | (action > space.high))[space.low <= space.high].any()
        else:
            assert space.contains(action), action
        return self.observe(), 1.0, False, False, {}


def play(factory):
    """A reset and two steps, at the ends of the actions; returns the specification."""
    host = Host(factory, 1)
    leaves = [np.zeros((1, *leaf.shape), leaf.dtype) for leaf in jax.tree.leaves(host.spec.obs)]
    host.reset([*leaves, np.zeros(1, np.int32)], np.uint32(3))
    assert host.error is None, host.error
    for bound in (host.spec.action_low, host.spec.action_high):
        action = bound.astype(host.action_space.dtype).reshape(1, *host.action_space.shape)
        alive = np.zeros((), bool)
        outputs = [*leaves, *leaves, np.zeros(1, np.float32), np.zeros(1, bool), np.zeros(1, bool), alive]
        host.step(outputs, np.uint32(3), np.zeros(1, np.int32), action)
        assert alive, host.error
    return host.spec


def bounded(low, high, shape=None, dtype=np.float32):
    """A Box with bounds as a careless environment leaves them; Gymnasium would refuse to construct some."""
    space = Box(-1, 1, shape or np.shape(low), dtype)
    space.low, space.high = np.full(space.shape, low, dtype), np.full(space.shape, high, dtype)
    return space


PAIR = Box(-1, 1, (2,))
# The messages hold these remedies as code.
WRITTEN = {
    "infinite": bounded(-np.inf, np.inf, (2,)),
    "half-infinite": bounded([-1, 0], [1, np.inf]),
    "nan": bounded([np.nan, 0], [1, 1]),
    "inverted": bounded(1, -1, (2, 3)),
    "infinite scalar": bounded(-np.inf, np.inf, ()),
    "constant": bounded([0, 0.1], [1, 0.1]),
    "constant in a matrix": bounded([[0, 1], [2, 3]], [[1, 2], [2, 4]]),
    "beyond float32": bounded(-1e300, 1e300, (2,), np.float64),
    "equal in float32": bounded([1, 0], [1 + 1e-12, 1], dtype=np.float64),
    "dict": Dict(a=PAIR, b=Dict(c=Box(0, 5, (), np.float64))),
    "tuple": Tuple((PAIR, Box(0, 5, (1, 2)))),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_the_code_in_a_message_about_actions_works_as_it_stands(name):
    space = WRITTEN[name]
    with pytest.raises(EnvError) as caught:
        make_checked(lambda: Sampled(space, PAIR))
    (code,) = re.findall(r"gymnasium\.wrappers\.\w+\(env, .*\)", str(caught.value))
    code = code.removesuffix(", or set JAX_ENABLE_X64=1")
    code = code.replace("Box of the other dimensions", "gymnasium.spaces.Box(low[others], high[others])")
    low, high = (np.array(getattr(space, bound, ())) for bound in ("low", "high"))
    chosen = {"low": np.where(np.isfinite(low), low, -1), "high": np.where(np.isfinite(high), high, 1)}
    if name == "inverted":
        chosen = {"low": -1, "high": 1}
    names = {"gymnasium": gymnasium, "np": np, "others": low < high, **chosen}
    make = eval(f"lambda env: {code}", names)  # noqa: S307 - a message of ours
    play(lambda: make(Sampled(space, PAIR)))


MAPPED = {
    "discrete": (Discrete(3), lambda action: int(action[0] > 0)),
    "multi-discrete": (MultiDiscrete([3, 2]), lambda action: (action > 0).astype(np.int64)),
    "multi-binary": (MultiBinary(2), lambda action: (action > 0).astype(np.int8)),
    "text": (Text(5), lambda action: "up" if action[0] > 0 else "down"),
    "sequence": (Sequence(PAIR), lambda action: (np.float32(action),)),
    "dict with a choice": (Dict(a=PAIR, b=Discrete(2)), lambda action: {"a": np.float32(action), "b": 1}),
    "integers": (Box(-1, 1, (2,), np.int64), lambda action: np.round(action).astype(np.int64)),
    "bool": (Box(0, 1, (2,), bool), lambda action: action > 0),
    "long double": (Box(-1, 1, (2,), np.longdouble), lambda action: action.astype(np.longdouble)),
}


@pytest.mark.parametrize("name", MAPPED)
def test_actions_that_are_no_real_numbers_can_be_mapped_to(name):
    space, function = MAPPED[name]
    with pytest.raises(EnvError, match=r"gymnasium.wrappers.TransformAction\(env, function, gymnasium.spaces.Box\("):
        make_checked(lambda: Sampled(space, PAIR))
    play(lambda: TransformAction(Sampled(space, PAIR), function, Box(-1, 1, (2,))))


FLATTENED = {
    "discrete": Discrete(3),
    "multi-discrete": MultiDiscrete([3, 2]),
    "multi-binary": MultiBinary(4),
    "tuple": Tuple((PAIR, Discrete(2))),
    "text": Text(5),
    "one of": OneOf((PAIR, Discrete(3))),
    "discrete in a dict": Dict(a=PAIR, b=Dict(c=Discrete(3))),
    "text in a dict": Dict(a=PAIR, b=Text(5)),
}


@pytest.mark.parametrize("name", FLATTENED)
def test_what_can_be_flattened_is_flattened(name):
    space = FLATTENED[name]
    with pytest.raises(EnvError, match=r"gymnasium.wrappers.FlattenObservation$"):
        make_checked(lambda: Sampled(PAIR, space))
    play(lambda: FlattenObservation(Sampled(PAIR, space)))


GOALS = Dict(observation=PAIR, achieved_goal=Discrete(3), desired_goal=Discrete(3))
MIXED = Dict(a=Discrete(3), b=Sequence(PAIR))


def one_hot(obs):
    return obs | {name: flatten(Discrete(3), obs[name]) for name in ("achieved_goal", "desired_goal")}


def renamed(obs):
    return {"a_b": obs["a/b"]}


TRANSFORMED = {
    "sequence": (Sequence(PAIR), lambda obs: np.resize(np.array(obs, np.float32), 2), PAIR, "Box of a fixed shape"),
    "graph": (Graph(PAIR, None), lambda obs: obs.nodes[0], PAIR, "Box of a fixed shape"),
    "sequence in a dict": (
        Dict(a=PAIR, b=Sequence(PAIR)),
        lambda obs: {"a": obs["a"], "b": np.zeros(2, np.float32)},
        Dict(a=PAIR, b=PAIR),
        r"observation\['b'\] space Sequence.* Box of a fixed shape",
    ),
    "a goal": (
        GOALS,
        one_hot,
        Dict(observation=PAIR, achieved_goal=flatten_space(Discrete(3)), desired_goal=flatten_space(Discrete(3))),
        r"observation\['achieved_goal'\].*make a Box of this part, by gymnasium.spaces.flatten and flatten_space",
    ),
    "a part beside a sequence": (
        MIXED,
        lambda obs: flatten(Discrete(3), obs["a"]),
        flatten_space(Discrete(3)),
        "make a Box of this part",
    ),
    "a key": (Dict({"a/b": PAIR}), renamed, Dict(a_b=PAIR), "the key 'a/b'"),
    "long double in a dict": (
        Dict(a=Box(-1, 1, (2,), np.longdouble)),
        lambda obs: {"a": np.float32(obs["a"])},
        Dict(a=PAIR),
        "convert this part to np.float32",
    ),
    "int64 in a dict": (
        Dict(a=Box(0, 2**40, (2,), np.int64)),
        lambda obs: {"a": np.float32(obs["a"])},
        Dict(a=Box(0, 2**40, (2,), np.float32)),
        "convert this part to np.float32",
    ),
    "nothing in a dict in a dict": (
        Dict(a=PAIR, b=Dict(c=Box(-1, 1, (0,)))),
        lambda obs: {"a": obs["a"]},
        Dict(a=PAIR),
        "leave it out",
    ),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_what_cannot_be_flattened_or_must_not_be_is_transformed(name, monkeypatch):
    space, function, made, words = TRANSFORMED[name]
    monkeypatch.setattr(Sampled, "observe", lambda env: sample(env.observation_space))
    with pytest.raises(EnvError, match=words + r".* gymnasium.wrappers.TransformObservation"):
        make_checked(lambda: Sampled(PAIR, space))
    spec = play(lambda: TransformObservation(Sampled(PAIR, space), function, made))
    assert name != "a goal" or goals_problem(spec) == ""


def sample(space):
    """A sample, also of numbers that Gymnasium cannot draw."""
    if isinstance(space, Dict):
        return {key: sample(part) for key, part in space.spaces.items()}
    return np.zeros(space.shape, space.dtype) if isinstance(space, Box) else space.sample()


CONVERTED = {"long double": Box(-1, 1, (2,), np.longdouble), "int64": Box(0, 2**40, (2,), np.int64)}


@pytest.mark.parametrize("name", CONVERTED)
def test_numbers_that_jax_does_not_have_are_converted(name, monkeypatch):
    space = CONVERTED[name]
    monkeypatch.setattr(Sampled, "observe", lambda env: sample(env.observation_space))
    with pytest.raises(EnvError, match=r"convert them to np.float32 in gymnasium.wrappers.DtypeObservation"):
        make_checked(lambda: Sampled(PAIR, space))
    play(lambda: DtypeObservation(Sampled(PAIR, space), np.float32))


def test_a_part_that_holds_nothing_is_left_out():
    space = Dict(a=PAIR, b=Box(-1, 1, (3, 0)))
    with pytest.raises(EnvError, match=r"observation\['b'\].*leave it out in gymnasium.wrappers.FilterObservation"):
        make_checked(lambda: Sampled(PAIR, space))
    assert read_spec(FilterObservation(Sampled(PAIR, space), ["a"])).obs["a"].shape == (2,)
    play(lambda: FilterObservation(Sampled(PAIR, space), ["a"]))

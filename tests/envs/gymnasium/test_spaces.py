"""Each space is either supported to the bit through the compiled path, or refused in one line with a remedy."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from ddpg_jax.envs.gymnasium import bridge
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.types import transition_struct


class Spaces(gymnasium.Env):
    """Shows one observation and keeps the actions it was given."""

    def __init__(self, action_space, observation_space, obs=None):
        self.action_space, self.observation_space = action_space, observation_space
        self.obs, self.actions = obs, []

    def reset(self, *, seed=None, options=None):
        return self.obs, {}

    def step(self, action):
        self.actions.append(action)
        return self.obs, 0.0, False, False, {}


def box(low, high, shape=None, dtype=np.float32):
    return Box(np.asarray(low, dtype), np.asarray(high, dtype), shape, dtype)


def broken(space, **attributes):
    """A space as a careless environment leaves it; Gymnasium would refuse to construct it."""
    for name, value in attributes.items():
        setattr(space, name, value)
    return space


PAIR = Box(-1, 1, (2,))
ACTIONS = {
    "symmetric": PAIR,
    "asymmetric": Box(-0.3, 7.1, (2,)),
    "per dimension": box([-1, 0, 2.5], [3, 0.1, 1000]),
    "float64": box([-0.1, 0.7], [0.3, 0.9], dtype=np.float64),
    "float16": box([-0.1, 1], [0.3, 2], dtype=np.float16),
    "scalar": Box(-2, 1, ()),
    "scalar float64": Box(-0.1, 0.1, (), np.float64),
    "matrix": Box(-2, 1, (2, 3)),
    "far apart": Box(-3e38, 3e38, (1,)),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_arrives_in_its_own_dtype_and_shape_and_on_its_bounds(name):
    space = ACTIONS[name]
    world = Spaces(space, PAIR, np.zeros(2, np.float32))
    env = bridge.from_factory(lambda: world)
    state, _ = env.reset(jax.random.key(0))
    step = jax.jit(env.step)
    for action in (-1.0, 1.0, 0.999999, 0.0):
        *_, timestep = step(jax.random.key(0), state, jnp.full((1, env.spec.action_dim), action))
        assert timestep.alive, env.failure()
    for action in world.actions:
        assert isinstance(action, np.ndarray)
        assert (action.dtype, action.shape) == (space.dtype, space.shape)
        assert ((space.low <= action) & (action <= space.high)).all()
    np.testing.assert_array_equal(world.actions[0], space.low)
    np.testing.assert_array_equal(world.actions[1], space.high)
    middle = (space.low.astype(float) + space.high.astype(float)) / 2
    np.testing.assert_allclose(world.actions[3].astype(float), middle, rtol=1e-3, atol=1e-6)


OBSERVATIONS = {
    "float32": (Box(-1, 1, (2,)), np.float32),
    "float64 is kept as float32": (box([-np.pi] * 2, [np.pi] * 2, dtype=np.float64), np.float32),
    "float16": (box([-1, -1], [1, 1], dtype=np.float16), np.float16),
    "infinite bounds": (Box(-np.inf, np.inf, (2,)), np.float32),
    "half-infinite bounds": (box([0, -np.inf], [np.inf, 1]), np.float32),
    "nan bounds": (broken(Box(-1, 1, (2,)), low=np.full(2, np.nan, np.float32)), np.float32),
    "image": (Box(0, 255, (4, 4, 3), np.uint8), np.uint8),
    "int64 is kept as int32": (Box(-7, 2**31 - 1, (2,), np.int64), np.int32),
    "int8": (Box(-128, 127, (2,), np.int8), np.int8),
    "bool": (Box(0, 1, (3,), bool), np.bool_),
    "scalar": (Box(-1, 1, ()), np.float32),
    "matrix": (Box(-1, 1, (2, 3), np.float64), np.float32),
}


@pytest.mark.parametrize("num_envs", [1, 2])
@pytest.mark.parametrize("name", OBSERVATIONS)
def test_an_observation_keeps_its_shape_and_its_values(name, num_envs):
    space, dtype = OBSERVATIONS[name]
    obs = np.asarray(np.nan_to_num(space.sample() if name != "nan bounds" else np.array([0.5, -0.5])), space.dtype)
    env = bridge.from_factory(lambda: Spaces(PAIR, space, obs), num_envs)
    assert (env.spec.obs.shape, env.spec.obs.dtype) == (space.shape, dtype)
    assert transition_struct(env.spec).next_obs.shape == space.shape
    state, first = env.reset(jax.random.key(0))
    _, choice, timestep = jax.jit(env.step)(jax.random.key(0), state, jnp.zeros((num_envs, 2)))
    assert timestep.alive, env.failure()
    for seen in (first, choice, timestep.next_obs):
        assert seen.dtype == dtype
        np.testing.assert_array_equal(seen, np.stack([obs.astype(dtype)] * num_envs))


LOW, HIGH = np.zeros(2, np.float32), np.ones(2, np.float32)
REFUSED = {
    "discrete action": (Discrete(3), PAIR, "continuous actions"),
    "multi-discrete action": (MultiDiscrete([3, 2]), PAIR, "continuous actions"),
    "multi-binary action": (MultiBinary(4), PAIR, "continuous actions"),
    "dict action": (Dict(a=PAIR), PAIR, "continuous actions"),
    "tuple action": (Tuple((PAIR, PAIR)), PAIR, "continuous actions"),
    "text action": (Text(5), PAIR, "continuous actions"),
    "integer action": (Box(0, 5, (1,), np.int64), PAIR, "continuous actions"),
    "integer action per dimension": (box(np.zeros(40), np.arange(1, 41), dtype=np.int64), PAIR, "continuous actions"),
    "bool action": (Box(0, 1, (2,), bool), PAIR, "continuous actions"),
    "long double action": (Box(-1, 1, (2,), np.longdouble), PAIR, "continuous actions"),
    "infinite action": (
        Box(-np.inf, np.inf, (1,)),
        PAIR,
        r"bounds \[-inf, inf\], which must be finite.*TransformAction",
    ),
    "half-infinite action": (box([-1, 0], [1, np.inf]), PAIR, r"dimension 1 has bounds \[0, inf\].*TransformAction"),
    "inverted action": (broken(Box(0, 1, (2,)), low=HIGH, high=LOW), PAIR, "low < high.*TransformAction"),
    "equal action bounds": (
        box([0, 1], [1, 1]),
        PAIR,
        r"dimension 1 has bounds \[1, 1\].*leave it out.*TransformAction",
    ),
    "nan action bound": (broken(Box(0, 1, (2,)), low=LOW + np.nan), PAIR, r"bounds \[nan, 1\].*TransformAction"),
    "action bounds beyond float32": (Box(-1e300, 1e300, (1,), np.float64), PAIR, "float32.*RescaleAction"),
    "action bounds equal in float32": (box([1], [1 + 1e-12], dtype=np.float64), PAIR, "float32.*RescaleAction"),
    "action bounds of another shape": (broken(Box(0, 1, (2,)), low=np.zeros(1)), PAIR, "the same shape"),
    "empty action": (Box(-1, 1, (0,)), PAIR, "holds no number"),
    "action with an empty dimension": (Box(-1, 1, (2, 0)), PAIR, "holds no number"),
    "discrete observation": (PAIR, Discrete(3), "FlattenObservation"),
    "multi-discrete observation": (PAIR, MultiDiscrete([3, 2]), "FlattenObservation"),
    "multi-binary observation": (PAIR, MultiBinary(4), "FlattenObservation"),
    "discrete in a dict": (PAIR, Dict(a=PAIR, b=Discrete(3)), r"observation\['b'\] space Discrete.*FlattenObservation"),
    "text in a nested dict": (PAIR, Dict(a=Dict(b=Text(5))), r"observation\['a'\]\['b'\] space.*FlattenObservation"),
    "tuple in a dict": (PAIR, Dict(a=Tuple((PAIR,))), r"observation\['a'\] space Tuple.*FlattenObservation"),
    "empty box in a dict": (PAIR, Dict(a=PAIR, b=Box(-1, 1, (3, 0))), r"observation\['b'\] .*holds no number"),
    "complex in a dict": (
        PAIR,
        Dict(a=Dict(b=broken(Box(0, 1, (2,)), dtype=np.dtype(complex)))),
        r"observation\['a'\]\['b'\] of dtype complex128.*DtypeObservation",
    ),
    "int64 in a dict": (PAIR, Dict(a=Box(0, 2**31, (2,), np.int64)), r"observation\['a'\] of dtype int64.*JAX_ENABLE"),
    "empty dict": (PAIR, Dict(), "an observation that is an empty Dict"),
    "empty dict in a dict": (PAIR, Dict(a=PAIR, b=Dict()), r"observation\['b'\] that is an empty Dict"),
    "a key that is no name of a file": (PAIR, Dict({"a/b": PAIR}), "the key 'a/b' in its observation; keys must be"),
    "a key that is no word": (
        PAIR,
        Dict(a=Dict({3: PAIR})),
        r"the key 3 in its observation\['a'\]; keys must be words",
    ),
    "tuple observation": (PAIR, Tuple((PAIR,)), "FlattenObservation"),
    "text observation": (PAIR, Text(5), "FlattenObservation"),
    "empty observation": (PAIR, Box(-1, 1, (3, 0)), "holds no number"),
    "complex observation": (PAIR, broken(Box(0, 1, (2,)), dtype=np.dtype(complex)), "complex128.*DtypeObservation"),
    "long double observation": (PAIR, Box(-1, 1, (2,), np.longdouble), "DtypeObservation"),
    "int64 observation beyond int32": (PAIR, Box(0, 2**31, (2,), np.int64), "int32.*JAX_ENABLE_X64"),
    "uint32 observation unbounded in int64": (PAIR, Box(0, 2**40, (2,), np.uint64), "uint32.*JAX_ENABLE_X64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_space_that_cannot_be_used_is_refused_with_a_remedy(name):
    action_space, observation_space, message = REFUSED[name]
    with pytest.raises(EnvError, match=message) as caught:
        bridge.from_factory(lambda: Spaces(action_space, observation_space))
    assert str(caught.value).startswith("Spaces")
    assert "\n" not in str(caught.value)


def test_a_part_of_a_dict_that_its_space_does_not_describe_is_an_error_that_names_it():
    space = Dict(a=PAIR, b=Dict(c=PAIR))
    for obs, message in (
        (
            {"a": LOW, "b": {"c": np.zeros(3)}},
            "ValueError: the observation['b']['c'] has shape (3,), its space says (2,)",
        ),
        ({"a": LOW, "b": {}}, "KeyError: 'c'"),
    ):
        env = bridge.from_factory(lambda obs=obs: Spaces(PAIR, space, obs))
        jax.block_until_ready(env.reset(jax.random.key(0)))
        assert f"on its reset: {message}" in str(env.failure())


def test_an_observation_that_its_space_does_not_describe_is_an_error():
    env = bridge.from_factory(lambda: Spaces(PAIR, PAIR, np.zeros((1, 2))))
    jax.block_until_ready(env.reset(jax.random.key(0)))
    assert "on its reset: ValueError: the observation has shape (1, 2), its space says (2,)" in str(env.failure())

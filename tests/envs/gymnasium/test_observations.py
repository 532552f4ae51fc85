"""What an environment gives for an observation is kept as it is, or refused at the step that gives it."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict
from gymnasium.wrappers import DtypeObservation, TransformObservation

from ddpg_jax.envs.gymnasium import bridge
from ddpg_jax.envs.gymnasium.observations import make_conform, make_read
from ddpg_jax.envs.gymnasium.spaces import obs_struct
from ddpg_jax.envs.gymnasium.worker import Remote, worker_factory

PAIR, TRIPLE = Box(-1, 1, (2,)), Box(-1, 1, (3,))


class Showing(gymnasium.Env):
    """Shows what fits in its reset, and something else in its steps."""

    action_space = PAIR

    def __init__(self, space, first, then):
        self.observation_space, self.first, self.then = space, first, then

    def reset(self, *, seed=None, options=None):
        return self.first, {}

    def step(self, action):
        return self.then, 0.0, False, False, {}


def step_once(factory):
    """The successor of one step, or the message of what failed."""
    env = bridge.from_factory(factory)
    state, _ = jax.jit(env.reset)(jax.random.key(0))
    assert env.failure() is None
    *_, timestep = jax.jit(env.step)(jax.random.key(0), state, jnp.zeros((1, 2)))
    return timestep.next_obs if timestep.alive else str(env.failure())


def first_of(space):
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), obs_struct(space))
    return gymnasium.spaces.utils.unflatten(space, gymnasium.spaces.utils.flatten(space, zeros))


BYTES, INT8 = Box(0, 255, (2,), np.uint8), Box(-9, 9, (2,), np.int8)
LONG, FLAGS = Box(-9, 9, (2,), np.int64), Box(0, 1, (2,), bool)
NESTED = Dict(a=PAIR, b=Dict(c=BYTES))
ROW = np.array([0.1, 0.2, 0.3], np.float32)
WRONG = {
    "a scalar": (TRIPLE, 0.5, "the observation has shape (), its space says (3,)"),
    "a placeholder": (TRIPLE, 0, "the observation has shape (), its space says (3,)"),
    "a scalar array": (TRIPLE, np.float32(1), "the observation has shape (), its space says (3,)"),
    "too short": (TRIPLE, ROW[:1], "the observation has shape (1,), its space says (3,)"),
    "a row of a batch": (TRIPLE, ROW[None], "the observation has shape (1, 3), its space says (3,)"),
    "a column": (TRIPLE, ROW[:, None], "the observation has shape (3, 1), its space says (3,)"),
    "a list too long": (TRIPLE, [0.1, 0.2, 0.3, 0.4], "the observation has shape (4,), its space says (3,)"),
    "nothing": (TRIPLE, None, "the observation has dtype object; it must be an array of real numbers"),
    "objects": (TRIPLE, ROW.astype(object), "the observation has dtype object; it must be"),
    "words": (TRIPLE, ["1", "2", "3"], "the observation has dtype <U1; it must be"),
    "complex": (TRIPLE, ROW.astype(complex), "the observation has dtype complex128; it must be"),
    "times": (TRIPLE, np.zeros(3, "m8[s]"), "the observation has dtype timedelta64[s]; it must be"),
    "a fraction": (BYTES, np.array([1.0, 0.5]), "the observation holds 0.5, and uint8 does not"),
    "below zero": (BYTES, np.array([0, -40]), "the observation holds -40, and uint8 does not"),
    "too great": (BYTES, [300, 0], "the observation holds 300, and uint8 does not"),
    "no number": (BYTES, np.array([np.nan, 0]), "the observation holds nan, and uint8 does not"),
    "infinite": (BYTES, np.array([0, np.inf]), "the observation holds inf, and uint8 does not"),
    "unsigned": (INT8, np.array([1, 200], np.uint8), "the observation holds 200, and int8 does not"),
    "beyond int32": (LONG, np.array([0, 2**32 + 5]), "the observation holds 4294967301, and int32 does not"),
    "below int32": (LONG, np.array([-(2**31) - 1, 0]), "JAX_ENABLE_X64=1"),
    "two of a bool": (FLAGS, np.array([0, 2]), "the observation holds 2, and bool does not"),
    "half of a bool": (FLAGS, np.array([0.5, 1]), "the observation holds 0.5, and bool does not"),
    "shape of a part": (
        NESTED,
        {"a": ROW[:1], "b": {"c": np.zeros(2, np.uint8)}},
        "the observation['a'] has shape (1,), its space says (2,)",
    ),
    "value of a part": (
        NESTED,
        {"a": ROW[:2], "b": {"c": np.array([0.25, 0])}},
        "the observation['b']['c'] holds 0.25, and uint8 does not",
    ),
    "scalar of a part": (NESTED, {"a": ROW[:2], "b": {"c": 0}}, "the observation['b']['c'] has shape ()"),
    "a part is missing": (NESTED, {"a": ROW[:2], "b": {}}, "KeyError: 'c'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_at_the_step_that_gives_it(name):
    space, obs, message = WRONG[name]
    failure = step_once(lambda: Showing(space, first_of(space), obs))
    assert isinstance(failure, str), failure
    assert message in failure
    assert "environment 0 failed in episode 0 (seed " in failure
    assert "step 1 of it, on the action [0.0, 0.0]" in failure


@pytest.mark.parametrize("name", WRONG)
def test_a_process_of_its_own_says_the_same(name):
    space, obs, _ = WRONG[name]
    remote = Remote(lambda: Showing(space, first_of(space), obs), space, PAIR, obs_struct(space))
    _, told = remote.reset(seed=1)
    assert told == {}
    *_, told = remote.step(np.zeros(2, np.float32))
    assert step_once(lambda: Showing(space, first_of(space), obs)).endswith(f": {told['error']}")


def test_the_refusal_arrives_from_a_real_process():
    worker = worker_factory(lambda: Showing(TRIPLE, ROW, ROW[:1]), 20.0)()
    try:
        obs, _ = worker.reset(seed=1)
        np.testing.assert_array_equal(obs, ROW)
        with pytest.raises(Exception, match=r"^ValueError: the observation has shape \(1,\), its space says \(3,\)"):
            worker.step(np.zeros(2, np.float32))
    finally:
        worker.close()


FITTING = {
    "a list": (TRIPLE, [0.5, 0.25, 0.0], np.float32),
    "of another kind of float": (TRIPLE, np.array([0.5, 0.25, 0.0]), np.float32),
    "half precision": (TRIPLE, np.array([0.5, 0.25, 0.0], np.float16), np.float32),
    "the other order of bytes": (TRIPLE, np.array([0.5, 0.25, 0.0], ">f4"), np.float32),
    "integers for floats": (TRIPLE, np.array([1, 0, -1]), np.float32),
    "flags for floats": (TRIPLE, np.array([True, False, True]), np.float32),
    "of JAX": (TRIPLE, jnp.array([0.5, 0.25, 0.0]), np.float32),
    "whole floats": (BYTES, np.array([255.0, 0.0]), np.uint8),
    "wide integers": (BYTES, np.array([255, 0]), np.uint8),
    "int64 within int32": (LONG, np.array([2**31 - 1, -(2**31)]), np.int32),
    "zero and one for flags": (FLAGS, np.array([0.0, 1.0]), np.bool_),
    "flags for bytes": (BYTES, np.array([True, False]), np.uint8),
    "a number of its own": (Box(-1, 1, ()), 0.5, np.float32),
}


@pytest.mark.parametrize("name", FITTING)
def test_what_fits_is_kept_whatever_it_comes_as(name):
    space, obs, dtype = FITTING[name]
    seen = step_once(lambda: Showing(space, first_of(space), obs))
    assert not isinstance(seen, str), seen
    assert seen.dtype == dtype
    np.testing.assert_array_equal(seen[0], np.asarray(obs).astype(dtype))
    sent = make_conform(space, obs_struct(space))(obs)
    assert sent.dtype == space.dtype
    np.testing.assert_array_equal(sent, np.asarray(obs))


def test_the_remedies_that_are_named_help():
    def fractions():
        return Showing(BYTES, np.zeros(2, np.uint8), np.array([0.25, 0.5]))

    assert "gymnasium.wrappers.DtypeObservation" in step_once(fractions)
    seen = step_once(lambda: DtypeObservation(fractions(), np.float32))
    np.testing.assert_array_equal(seen, [[0.25, 0.5]])

    def long():
        return Showing(LONG, np.zeros(2, np.int64), np.array([2**40, 0]))

    assert "set JAX_ENABLE_X64=1" in step_once(long)
    with jax.enable_x64(True):
        assert make_read(obs_struct(LONG))(long().then)[0].tolist() == [2**40, 0]

    space = Dict(a=BYTES)

    def parts():
        return Showing(space, {"a": np.zeros(2, np.uint8)}, {"a": np.array([0.25, 0.5])})

    assert "gymnasium.wrappers.TransformObservation" in step_once(parts)
    seen = step_once(lambda: TransformObservation(parts(), lambda obs: obs, Dict(a=PAIR)))
    np.testing.assert_array_equal(seen["a"], [[0.25, 0.5]])


def test_values_that_need_no_look_are_handed_on_as_they_are():
    for space in (TRIPLE, Box(-1, 1, (3,), np.float64), Box(0, 255, (3,), np.uint8)):
        obs = np.zeros(3, space.dtype)
        assert make_read(obs_struct(space))(obs)[0] is obs

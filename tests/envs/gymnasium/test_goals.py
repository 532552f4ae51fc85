"""What NumPy says about goals is what JAX says, or there is a reason in words."""

import contextlib
import threading

import chex
import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict
from numpy import array as from_numpy
from worlds import NEAR, Reach, Scripted, Seeing, goal_world

from ddpg_jax.envs.gymnasium import from_factory
from ddpg_jax.envs.gymnasium.traced import trace
from ddpg_jax.envs.protocol import EnvError

ACHIEVED = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0], [0.5, -0.5, 0.25], [-3.0, 0.0, 4.0]])
DESIRED = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.4], [-0.5, 0.5, 0.25], [-1.0, 3.0, -2.0]])


def difference_written_out(a, b):
    x, y, z = a - b
    return -np.sqrt(x**2 + y**2 + z**2)


def made_of_parts(a, b):
    near = np.zeros_like(a[..., :1], dtype=np.float64) + np.array([0.45])
    both = np.concatenate([np.abs(a - b), near], axis=-1)
    return -both[..., [0, 1]].sum(axis=-1) + both.min() * len(both)


def in_place(a, b):
    distance = a - b
    distance *= distance
    distance[1:] *= 2
    distance[..., 0] -= 1
    return -distance.sum()


def through_a_view(a, b):
    distance = np.array([a[0] - b[0], a[1] - b[1], a[2] - b[2]])
    rest = distance[1:]
    rest /= 2.0
    first = distance[0]
    first += 5.0  # a number: the array keeps its own
    return distance @ np.ones(3)


def divided_where(a, b):
    distance = np.linalg.norm(a - b)
    return np.divide(1.0, a - b, out=np.zeros_like(a), where=a != b).sum() + 0 * distance


def filled(a, b):
    turned = np.empty((2, 2), dtype=np.float64)
    turned[0, 0], turned[..., 0, 1] = a[0], b[0]
    turned[1] = np.asarray(b)[1:] - np.asarray(a, dtype=np.float64)[1:]
    np.clip(turned, -1.0, 1.0, out=turned)
    weights = np.ones(2) * 2
    weights[0] = 1
    return (turned * weights).sum()


def with_weights(a, b):
    weights = np.ones(3)
    weights[1] = 0.5
    if weights.sum() > 2:  # of no goal
        return -(np.abs(a - b) * weights).sum()
    return a[0]


WRITTEN = {
    "an if on what is no goal": (with_weights, [0, -0.4, -1.5, -2 - 1.5 - 6]),
    "in place": (in_place, [1, 1 - 2 * 0.4**2, 1 - 1 - 2, 1 - 4 - 2 * (9 + 36)]),
    "through a view": (through_a_view, [0, -0.2, 1 - 0.5, -2 + (-3 + 6) / 2]),
    "a result that is written where it can be": (divided_where, [0, -2.5, 1 - 1, -1 / 2 - 1 / 3 + 1 / 6]),
    "an array that is filled": (filled, [0, 1 + 2 + 2 * 0.4, 0.5 - 1 + 1, -1 - 2 + 1 - 2]),
    "sparse": (lambda a, b: -(np.linalg.norm(a - b, axis=-1) > 0.45).astype(np.float32), [0, 0, -1, -1]),
    "sparse, positive": (lambda a, b: (np.linalg.norm(a - b, axis=-1) <= 0.41).astype(np.float64), [1, 1, 0, 0]),
    "dense": (lambda a, b: np.exp(-np.linalg.norm(a - b, axis=-1)), [1, np.exp(-0.4), np.exp(-(2**0.5)), np.exp(-7)]),
    "for one goal only": (lambda a, b: -np.linalg.norm(a - b), [0, -0.4, -(2**0.5), -7]),
    "dot product": (lambda a, b: a @ b / 2, [0, (1 + 4 + 4.8) / 2, (-0.5 + 0.0625) / 2, (3 - 8) / 2]),
    "where": (lambda a, b: np.where(np.all(np.abs(a - b) < 0.5), 1.0, -2.0), [1, 1, -2, -2]),
    "maximum": (lambda a, b: -np.maximum.reduce(abs(a - b)), [0, -0.4, -1, -6]),
    "methods": (lambda a, b: (a - b).clip(-1, 1).mean() * a.shape[0], [0, -0.4, 0, -1]),
    "bool": (lambda a, b: (a == b).all() | (a[0] < b[0]), [1, 0, 0, 1]),
    "python number": (lambda a, b: 1 - 0.5 * (a - b)[-1] ** 2, [1, 1 - 0.08, 1, 1 - 0.5 * 6**2]),
    "unpacked": (difference_written_out, [0, -0.4, -(2**0.5), -7]),
    "made of parts": (made_of_parts, [0, 0, -2, -2 - 3 + 4 * 0.45]),
}


class TestTrace(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_numpy_becomes_jax(self):
        for name, (written, expected) in WRITTEN.items():
            reward = self.variant(trace(lambda a, b, info, written=written: written(a, b)))
            found = reward(jnp.array(ACHIEVED), jnp.array(DESIRED))
            assert found.dtype == jnp.float32
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=name)
            numpys = [written(*goals) for goals in zip(ACHIEVED, DESIRED, strict=True)]
            np.testing.assert_allclose(numpys, expected, rtol=1e-4, atol=1e-6, err_msg=f"{name}, typed in")

    @chex.variants(with_jit=True, without_jit=True)
    def test_goals_come_in_any_batch(self):
        reward = self.variant(trace(lambda a, b, info: -np.linalg.norm(a - b)))
        np.testing.assert_allclose(reward(jnp.ones(4), jnp.zeros(4)), -2.0)
        np.testing.assert_allclose(reward(jnp.ones((2, 3, 4)), jnp.zeros((3, 4))), np.full((2, 3), -2.0))


class Goals(Reach):
    """The point, with another reward."""

    def __init__(self, compute_reward):
        self.compute = compute_reward

    def compute_reward(self, achieved_goal, desired_goal, info):
        return self.compute(achieved_goal, desired_goal, info)


def with_if(a, b, info):
    return 0.0 if np.linalg.norm(a - b) < 0.1 else -1.0


BUFFER = np.zeros(2, np.float32)


UNTRACEABLE = {
    "an if": (with_if, "TypeError: an `if` cannot depend on a goal; np.where can"),
    "an array made elsewhere": (
        lambda a, b, info: from_numpy([a[0], b[0]]).sum(),
        "NumPy cannot make an array of a goal",
    ),
    "an array of its own": (
        lambda a, b, info: -np.abs(a - b, out=BUFFER).sum(),
        "a result is written into an array that",
    ),
    "Python's number": (lambda a, b, info: -float(a[0] - b[0]), "float.. argument must be"),
    "more than the goals": (lambda a, b, info: info["speed"], "KeyError: 'speed'"),
    "a function that JAX has not": (lambda a, b, info: np.nanpercentile(np.ma.median(a - b), 50), "Error: "),
    "a reward for each dimension": (lambda a, b, info: -np.abs(a - b), "ValueError: "),
    "no reward": (lambda a, b, info: None, "Error: "),
    "another reward": (
        lambda a, b, info: -1.0 if isinstance(a, np.ndarray) else -2.0,
        r"it gives -2 where the environment gives -1, for the achieved goal \[.*\] and the desired goal \[",
    ),
}


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_a_reward_that_cannot_be_traced_is_none_and_says_why(name):
    compute_reward, message = UNTRACEABLE[name]
    env = from_factory(lambda: Goals(compute_reward))
    assert env.spec.goal_reward is None
    assert "\n" not in env.goal_problem
    with pytest.raises(
        ValueError, match=f"^its compute_reward cannot be used .*{message}.*give its reward, in JAX, as goal_reward"
    ):
        raise ValueError(env.goal_problem)


def test_a_module_has_its_own_numpy_again():
    def failing(a, b, info):
        assert np.zeros is not jnp.zeros
        raise KeyError

    before = np
    for function in (lambda a, b, info: np.array([a[0], b[0]]).sum(), failing):
        with contextlib.suppress(KeyError):
            trace(function)(jnp.ones(2), jnp.ones(2))
        assert np is before


def test_other_threads_see_numpy_as_it_is():
    seen = []

    def compute(a, b, info):
        thread = threading.Thread(target=lambda: seen.append(np.zeros(2)))
        thread.start()
        thread.join()
        return np.array([a[0], b[0]]).sum()

    assert float(trace(compute)(jnp.ones(2), jnp.ones(2))) == 2
    assert [type(each).__module__ for each in seen] == ["numpy", "numpy"]


def test_goals_that_are_changed_in_place_are_compared_all_the_same():
    def compute(a, b, info):
        a -= b
        return -np.abs(a).sum()

    goals = jnp.array([[1.0, 2.0]])
    assert from_factory(lambda: Goals(compute)).spec.goal_reward(goals, 0 * goals).tolist() == [-3]
    assert goals.tolist() == [[1, 2]]


def test_the_bridge_knows_the_reward_of_other_goals():
    env, compiled = from_factory(Reach, 2), goal_world()
    assert env.goal_problem == ""
    goals = jnp.array([[0.0, 0.0], [NEAR - 1e-5, 0.0], [NEAR + 1e-5, 0.0], [0.0, 1.0]])
    for world in (env, compiled):
        assert world.spec.goal_reward(goals, jnp.zeros(2)).tolist() == [0, 0, -1, -1]


class NoReward(gymnasium.Wrapper):
    """Has another reward than what is inside."""

    def compute_reward(self, achieved_goal, desired_goal, info):
        return np.zeros(achieved_goal.shape[:-1])


def test_the_outermost_wrapper_with_a_reward_is_asked():
    env = from_factory(lambda: NoReward(gymnasium.wrappers.TimeLimit(Reach(), 5)))
    assert env.spec.goal_reward(jnp.ones(2), jnp.zeros(2)) == 0
    env = from_factory(lambda: gymnasium.wrappers.TimeLimit(Reach(), 5))
    assert env.spec.goal_reward(jnp.ones(2), jnp.zeros(2)) == -1


def near(achieved, desired, limit=NEAR):
    return -1.0 * (jnp.linalg.norm(achieved - desired, axis=-1) > limit)


def test_a_function_that_is_given_is_taken_if_it_is_the_environments():
    assert from_factory(Reach, goal_reward=near).spec.goal_reward is near
    untraceable = lambda a, b, info: -1.0 * (float(np.linalg.norm(a - b)) > NEAR)  # noqa: E731
    assert from_factory(lambda: Goals(untraceable), goal_reward=near).spec.goal_reward is near
    unasked = lambda a, b, info: info["speed"]  # noqa: E731
    assert from_factory(lambda: Goals(unasked), goal_reward=near).spec.goal_reward is near


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda a, b: near(a, b, NEAR * 1.05), "it gives -?0 where the environment gives -1, for the achieved goal"),
        (lambda a, b: near(a, b)[:, None], r"on goals \(500, 2\) it gives \(500, 1\), and must give \(500,\)"),
        (lambda a: a, "TypeError"),
    ],
)
def test_a_function_that_is_not_the_environments_is_refused_where_it_differs(given, message):
    with pytest.raises(EnvError, match=f"^the goal_reward of Reach cannot be used: {message}"):
        from_factory(Reach, goal_reward=given)


class TwoLengths(Reach):
    """Its two goals cannot be compared."""

    observation_space = Dict(achieved_goal=Box(-1, 1, (2,)), desired_goal=Box(-1, 1, (3,)))


@pytest.mark.parametrize("world", [Scripted, Seeing, TwoLengths])
def test_where_there_are_no_goals_none_is_rewarded(world):
    env = from_factory(world)
    assert env.spec.goal_reward is None
    assert env.goal_problem.startswith("its observations have no achieved_goal and desired_goal that are vectors")
    with pytest.raises(EnvError, match=f"the goal_reward of {world.__name__} cannot be used: its observations have no"):
        from_factory(world, goal_reward=near)


def test_goals_without_a_reward_say_what_is_missing():
    class Silent(Reach):
        compute_reward = property()

    env = from_factory(Silent)
    assert env.spec.goal_reward is None
    assert env.goal_problem == "it has no compute_reward; give its reward as goal_reward"

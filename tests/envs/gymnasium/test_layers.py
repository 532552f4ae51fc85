"""Wrappers: those that remember more than their episode are refused, the others replay exactly."""

import types

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.spaces import Box
from gymnasium.wrappers.utils import RunningMeanStd
from worlds import Scripted

from ddpg_jax.envs.gymnasium import from_factory
from ddpg_jax.envs.gymnasium.factory import make_checked
from ddpg_jax.envs.gymnasium.host import Episodes, Host
from ddpg_jax.envs.protocol import EnvError


class OwnNormalizer(wrappers.NormalizeObservation):
    """A subclass."""


class Statistics:
    """Those of another library."""

    mean, var, count = np.zeros(2), np.ones(2), 0

    def update(self, rows):
        self.count += len(rows)


class Foreign(gymnasium.ObservationWrapper):
    """A normaliser of another library."""

    def __init__(self, env):
        super().__init__(env)
        self.running = {"joints": Statistics()}

    def observation(self, obs):
        return obs - self.running["joints"].mean


class Adapter(Scripted):
    """An environment that is no wrapper and holds one all the same."""

    def __init__(self):
        self.env = wrappers.NormalizeReward(Scripted())


class Table(Scripted):
    """Holds data, whose `mean` is a function, as that of pandas is."""

    def __init__(self):
        self.prices = types.SimpleNamespace(mean=np.mean, var=np.var, count=len, update=print)


RUNNING = {
    "observation": (
        lambda: wrappers.NormalizeObservation(Scripted()),
        "NormalizeObservation",
        "--agent.normalize-obs,",
    ),
    "reward": (lambda: wrappers.NormalizeReward(Scripted()), "NormalizeReward", "--agent.normalize-reward,"),
    "both": (
        lambda: wrappers.NormalizeReward(wrappers.NormalizeObservation(Scripted())),
        "NormalizeReward",
        "--agent.normalize-reward,",
    ),
    "below others": (
        lambda: wrappers.TimeLimit(wrappers.ReshapeObservation(OwnNormalizer(Scripted()), (1, 2)), 9),
        "OwnNormalizer",
        "--agent.normalize-obs,",
    ),
    "of another library": (
        lambda: Foreign(Scripted()),
        "Foreign",
        "--agent.normalize-obs or --agent.normalize-reward,",
    ),
    "in an adapter": (Adapter, "NormalizeReward", "--agent.normalize-reward,"),
}


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("name", RUNNING)
def test_running_statistics_of_a_wrapper_are_refused_with_ours_as_the_remedy(name, timeout):
    factory, layer, instead = RUNNING[name]
    with pytest.raises(
        EnvError, match=f"(Scripted|Adapter) keeps running statistics in {layer}, which .* use {instead}"
    ) as caught:
        from_factory(factory, 2, timeout)
    assert "update_running_mean to False" in str(caught.value)


def frozen(kind):
    """An environment in a normaliser whose statistics are fixed."""
    env = kind(Scripted())
    statistics = env.obs_rms if isinstance(env, wrappers.NormalizeObservation) else env.return_rms
    statistics.var = np.full_like(statistics.var, 4.0)
    env.update_running_mean = False
    return env


@pytest.mark.parametrize("kind", [wrappers.NormalizeObservation, wrappers.NormalizeReward])
def test_fixed_statistics_are_a_wrapper_like_any_other(kind):
    check_replay(lambda: frozen(kind))


def test_an_own_class_says_so_by_the_same_name():
    env = Foreign(Scripted())
    env.update_running_mean = False
    assert make_checked(lambda: env) is env


class Shy:
    """Answers no question."""

    def __getattr__(self, name):
        raise RuntimeError("the robot is asleep")


def test_what_answers_no_question_holds_no_statistics():
    env = Scripted()
    env.robot = Shy()
    make_checked(lambda: env)


def test_data_with_functions_of_those_names_are_no_statistics():
    make_checked(Table)
    assert isinstance(RunningMeanStd().mean, np.ndarray), "and those of Gymnasium have numbers"


class Walk(gymnasium.Env):
    """Episodes of 12 steps whose every number comes from the generator of the episode's seed."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observe(), {}

    def observe(self):
        return self.np_random.normal(size=2).astype(np.float32)

    def step(self, action):
        self.time += 1
        return self.observe() + action, float(action.sum()), False, self.time >= 12, {}


REMEMBER_AN_EPISODE = {
    "time": lambda env: wrappers.TimeAwareObservation(wrappers.TimeLimit(env, 12)),
    "stack": lambda env: wrappers.FrameStackObservation(env, 3),
    "delay": lambda env: wrappers.DelayObservation(env, 2),
    "statistics of episodes": wrappers.RecordEpisodeStatistics,
    "limit": lambda env: wrappers.TimeLimit(env, 9),
    "sticky": lambda env: wrappers.StickyAction(env, 0.5),
    "reset by itself": wrappers.Autoreset,
    "repeat": lambda env: wrappers.RepeatAction(env, 2),
    "order": wrappers.OrderEnforcing,
}


def check_replay(factory):
    """Play into a second episode, let others be played meanwhile, and come back exactly."""
    host = Host(factory, 1)
    one, three = (np.zeros((1, *host.spec.obs.shape), host.spec.obs.dtype) for _ in range(2))
    number, run_seed, length = np.zeros(1, np.int32), np.uint32(3), 0
    rng = np.random.default_rng(0)

    def step(host, number):
        first, ended, over, alive = one.copy(), np.zeros(1, bool), np.zeros(1, bool), np.zeros((), bool)
        outputs = [three, first, np.zeros(1, np.float32), ended, over, alive]
        host.step(outputs, run_seed, number, rng.uniform(-1, 1, (1, 2)).astype(host.action_space.dtype))
        assert alive, host.error
        return (ended | over)[0], first if (ended | over)[0] else three.copy()

    host.reset([one, number], run_seed)
    for _ in range(16):
        over, obs = step(host, number)
        number, length = number + over, 0 if over else length + 1
    assert number[0] > 0
    saved = host.save(np.array([length]))
    other = host.share()
    other.reset([one, np.zeros(1, np.int32)], np.uint32(8))
    for _ in range(5):
        step(other, np.zeros(1, np.int32))
    assert host.save(np.array([length])) == saved, "each host records its own episodes"
    restored = host.restore(Episodes(run_seed, number), obs, np.array([length]), saved)
    assert restored.exact.all(), restored.reason


@pytest.mark.parametrize("name", REMEMBER_AN_EPISODE)
def test_what_a_wrapper_remembers_of_its_episode_is_played_again(name):
    check_replay(lambda: REMEMBER_AN_EPISODE[name](Walk()))


class Constant(Walk):
    action_space = Box(np.array([0, 1], np.float32), np.array([1, 1], np.float32))


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_rescaling_one_value_to_many_would_make_nan():
    with pytest.raises(EnvError, match="RescaleAction, which makes NaN of action dimension 1, whose two bounds are 1;"):
        make_checked(lambda: wrappers.RescaleAction(Constant(), -1, 1))

    def remedy():
        inner = wrappers.TransformAction(Constant(), lambda action: np.insert(action, 1, 1.0), Box(0, 1, (1,)))
        return wrappers.RescaleAction(inner, -1, 1)

    env = make_checked(remedy)
    env.reset(seed=0)
    assert np.isfinite(env.step(np.array([0.5]))[0]).all()


def test_clipping_hides_the_bounds():
    with pytest.raises(EnvError, match="is wrapped in ClipAction, which hides the bounds of its actions; leave it out"):
        make_checked(lambda: wrappers.TimeLimit(wrappers.ClipAction(Walk()), 9))
    make_checked(lambda: wrappers.TransformAction(wrappers.ClipAction(Walk()), lambda action: action, Box(-2, 2, (2,))))

"""One environment: its arguments, its limit, its wrappers."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation, RecordEpisodeStatistics, TimeAwareObservation, TimeLimit
from worlds import Scripted

import ddpg_jax as dj
from ddpg_jax.envs.gymnasium import make_one
from ddpg_jax.envs.gymnasium.named_wrappers import GYMNASIUM
from ddpg_jax.envs.protocol import EnvError


class World(Scripted):
    """Remembers its arguments."""

    closed = 0

    def __init__(self, size=1, render_mode=None):
        self.size, self.render_mode = size, render_mode

    def close(self):
        World.closed += 1


class Doubled(gymnasium.ObservationWrapper):
    def observation(self, obs):
        return 2 * obs


gymnasium.register("Arguments-v0", entry_point=World, max_episode_steps=9)


@pytest.mark.parametrize("env", ["Arguments-v0", gymnasium.spec("Arguments-v0"), World, lambda **given: World(**given)])
def test_arguments_and_the_limit_reach_whatever_makes_it(env):
    made = make_one(env, {"size": 3}, max_episode_steps=2, render_mode="rgb_array")
    assert (made.unwrapped.size, made.unwrapped.render_mode) == (3, "rgb_array")
    made.reset(seed=2)
    assert [made.step(np.zeros(2))[2:4] for _ in range(2)] == [(False, False), (False, True)]


@pytest.mark.parametrize("env", ["Arguments-v0", World])
def test_how_it_is_to_draw_comes_before_its_own_argument(env):
    """A run that was trained with a mode is filmed with another."""
    made = make_one(env, {"render_mode": "human"}, render_mode="rgb_array")
    assert made.unwrapped.render_mode == "rgb_array"


def test_what_takes_no_render_mode_is_made_without():
    assert isinstance(make_one(Scripted, render_mode="rgb_array"), Scripted)


def test_the_first_wrapper_is_the_innermost():
    env = make_one(World, None, ["TimeAwareObservation", Doubled, "RecordEpisodeStatistics"], max_episode_steps=5)
    layers = [type(env), type(env.env), type(env.env.env), type(env.env.env.env)]
    assert layers == [RecordEpisodeStatistics, Doubled, TimeAwareObservation, TimeLimit]
    obs, _ = env.reset(seed=4)
    assert obs.tolist() == [8.0, 0.0, 0.0]


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_the_library_takes_classes_functions_and_wrappers(timeout):
    env = dj.envs.make(
        functools.partial(World, size=2),
        num_envs=2,
        timeout=timeout,
        wrappers=[FlattenObservation],
        max_episode_steps=3,
    )
    assert env.num_envs == 2
    assert env.spec.obs.shape == (2,)
    env.close()


@pytest.mark.parametrize("wrapper", [FlattenObservation(World()), 3, None])
def test_a_wrapper_is_not_given_as_an_object(wrapper):
    with pytest.raises(EnvError, match="a wrapper is a name, a class or a function of an environment, not "):
        make_one(World, wrappers=[wrapper])


@pytest.mark.parametrize("env", [World(), 3, None])
def test_an_environment_is_not_given_as_an_object(env):
    with pytest.raises(EnvError, match="is not a function; pass a function that returns a new environment"):
        dj.envs.make(env)


def test_an_environment_that_a_wrapper_refuses_is_closed():
    World.closed = 0
    with pytest.raises(EnvError, match="'RescaleAction' cannot be put around World: TypeError"):
        make_one(World, wrappers=["RescaleAction"])
    assert World.closed == 1


def test_the_wrappers_that_have_names_are_gymnasiums():
    assert [name for name in GYMNASIUM if name not in gymnasium.wrappers.__all__] in ([], ["RepeatAction"])


@pytest.mark.parametrize(
    ("wrapper", "env"),
    [
        ('RescaleAction {"min_action": -0.5, "max_action": 0.5}', "Pendulum-v1"),
        ('RescaleObservation {"min_obs": -1, "max_obs": 1}', "Pendulum-v1"),
        ('ReshapeObservation {"shape": [3, 1]}', "Pendulum-v1"),
        ('FrameStackObservation {"stack_size": 2}', "Pendulum-v1"),
        ('DelayObservation {"delay": 1}', "Pendulum-v1"),
        ('ClipReward {"min_reward": -1, "max_reward": 0}', "Pendulum-v1"),
        ('StickyAction {"repeat_action_probability": 0.1}', "Pendulum-v1"),
        ("MaxAndSkipObservation", "Pendulum-v1"),
        ("RecordEpisodeStatistics", "Pendulum-v1"),
    ],
)
def test_gymnasiums_wrappers_take_json(wrapper, env):
    made = make_one(env, wrappers=[wrapper])
    made.reset(seed=0)
    made.step(made.action_space.sample())
    made.close()

"""Objects and answers of older or other interfaces: told by name, and taken where nothing is lost."""

import functools

import gymnasium
import numpy as np
import pytest
from worlds import Scripted

from ddpg_jax import make_evaluate, make_trainer
from ddpg_jax.envs.gymnasium import bridge
from ddpg_jax.envs.gymnasium.factory import make_checked
from ddpg_jax.envs.gymnasium.host import Host
from ddpg_jax.envs.gymnasium.interface import read_reset, read_step, returned_numbers
from ddpg_jax.envs.protocol import EnvError

OBS = np.zeros(2)


class Step(Scripted):
    """Answers a step with what it was given."""

    def __init__(self, *answer):
        self.answer = answer

    def step(self, action):
        return self.answer


class NoSeed(Scripted):
    def reset(self):
        return OBS


class SeedOnly(Scripted):
    def reset(self, seed=None):
        return OBS, {}


class Before026(Scripted):
    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)

        def over():
            return terminated, truncated

        return obs, reward, any(over()), info


class OldWrapper(gymnasium.Wrapper):
    def reset(self, **options):
        return self.env.reset(**options)

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        if terminated:
            return obs, 0.0, True, info
        return (obs, reward, truncated, info)


class Modernised(gymnasium.Wrapper):
    """Makes five values of four."""

    def step(self, action):
        obs, reward, done, info = self.env.step(action)
        return obs, reward, done, False, info


def modern(step):
    @functools.wraps(step)
    def wrapped(self, action):
        obs, reward, done, info = step(self, action)
        return obs, reward, done, False, info

    return wrapped


class Decorated(Scripted):
    @modern
    def step(self, action):
        return OBS, 0.0, False, {}


class OldSpaces(Scripted):
    """Made with the package gym."""

    Box = type("Box", (), {"__module__": "gym.spaces.box"})
    action_space = Box()


class NoGymnasium:
    """Has everything, and is of another family."""

    spec, action_space, observation_space = None, Scripted.action_space, Scripted.observation_space
    reset, step = Scripted.reset, Scripted.step


SHIMMY = "shimmy.GymV21CompatibilityV0"
REFUSED = {
    "no seed": (NoSeed, rf"NoSeed takes no seed in reset\(\), as in gym before 0.26: .*{SHIMMY}"),
    "no seed below wrappers": (lambda: gymnasium.wrappers.TimeLimit(NoSeed(), 3), f"takes no seed in reset.*{SHIMMY}"),
    "no options below wrappers": (
        lambda: gymnasium.wrappers.TimeLimit(SeedOnly(), 3),
        r"SeedOnly takes no options in reset\(seed=None\).*give it `reset\(self, \*, seed=None, options=None\)`",
    ),
    "four values": (Before026, rf"Before026 cannot be stepped: its step gives \(obs, reward, done, info\).*{SHIMMY}"),
    "four values below wrappers": (
        lambda: gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.wrappers.TimeLimit(Before026(), 3)),
        SHIMMY,
    ),
    "four values of a wrapper": (lambda: OldWrapper(Scripted()), SHIMMY),
    "spaces of gym": (OldSpaces, "has the action_space gym.spaces.box.Box, of the old package gym; .*shimmy"),
    "a class": (lambda: Scripted, r"is the class Scripted, not an environment; return Scripted\(...\)"),
    "a vector": (lambda: gymnasium.make_vec("Pendulum-v1", 2), "is a vector of environments; .*num_envs"),
    "nothing": (lambda: None, "is of builtins.NoneType, which is no gymnasium.Env"),
    "another family": (NoGymnasium, "is of .*NoGymnasium, which is no gymnasium.Env; .*shimmy"),
}


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_stepped_is_found_before_it_is(name, timeout):
    factory, message = REFUSED[name]
    with pytest.raises(EnvError, match=message) as caught:
        bridge.from_factory(factory, 1, timeout)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("factory", [SeedOnly, Decorated, lambda: Modernised(Before026())])
def test_what_can_be_stepped_is_taken(factory):
    make_checked(factory)


def test_only_values_that_are_written_out_are_counted():
    source = "def step(self):\n    return 1, 2, 3, 4\n"
    names = {}
    exec(source, names)  # noqa: S102 - a function without source
    assert returned_numbers(names["step"]) == {None}
    assert returned_numbers(lambda: (1, 2, 3, 4)) == {None}
    assert returned_numbers(len) == {None}
    assert returned_numbers(Step.step) == {None}
    assert returned_numbers(Before026.step) == {4}
    assert returned_numbers(Scripted.step) == {5}


@pytest.mark.parametrize("name", ["an environment", "a vector"])
def test_a_factory_is_a_function(name):
    thing = Scripted() if name == "an environment" else gymnasium.make_vec("Pendulum-v1")
    with pytest.raises(EnvError, match="pass a function that returns a new environment at each call"):
        bridge.from_factory(thing)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (OBS, r"but a ndarray of shape \(2,\)"),
        ([0.1, 0.2], "but 2 values"),
        ({"goal": OBS, "place": OBS}, "but a dict"),
        (None, "but None"),
        ((OBS, {}, {}), "but 3 values"),
    ],
)
def test_a_reset_gives_an_observation_and_info(answer, message):
    with pytest.raises(ValueError, match=rf"its reset does not give \(obs, info\), {message}: give it .*{SHIMMY}"):
        read_reset(answer)


def test_info_may_be_missing_if_its_place_is_there():
    assert read_reset((OBS, None)) is OBS
    assert read_step((OBS, 1.0, False, True, None)) == (OBS, 1.0, False, True)


NUMBERS = [1.5, np.float64(1.5), np.float32(1.5), np.array(1.5), np.array([1.5]), np.array([[1.5]]), [1.5]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reward", [*NUMBERS, 2, np.int64(2), True, np.array([2], np.int8)])
def test_a_reward_is_a_number_whatever_it_is_kept_in(reward):
    found = read_step((OBS, reward, False, False, {}))[1]
    assert isinstance(found, float)
    assert found == np.asarray(reward).item()


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (np.zeros(2), r"the reward has shape \(2,\): it is a vector, .*TransformReward"),
        ([1.0, 2.0], r"shape \(2,\): it is a vector"),
        (np.zeros((1, 3)), r"shape \(1, 3\): it is a vector"),
        (np.zeros(0), r"shape \(0,\)"),
        (None, "the reward must be a number, not None"),
        ("1.0", "the reward must be a number, not a str"),
        ({"a": 1.0}, "the reward must be a number, not a dict"),
        (1j, "the reward must be a number, not a complex"),
    ],
)
def test_a_reward_that_is_no_number_is_told(reward, message):
    with pytest.raises(ValueError, match=message):
        read_step((OBS, reward, False, False, {}))


def test_the_parts_of_a_vector_can_be_weighed():
    weights = np.array([1.0, 0.5])
    env = gymnasium.wrappers.TransformReward(
        Step(OBS, np.array([2.0, 4.0]), False, False, {}), lambda reward: float(np.dot(weights, reward))
    )
    assert read_step(env.step(None))[1] == 4.0


@pytest.mark.parametrize(
    ("flag", "value"),
    [(True, True), (np.True_, True), (np.array([True]), True), (np.array(False), False), (1, True), (0.0, False)],
)
def test_an_end_is_true_or_false_whatever_it_is_kept_in(flag, value):
    assert read_step((OBS, 0.0, flag, False, {}))[2] is value
    assert read_step((OBS, 0.0, False, flag, {}))[3] is value


@pytest.mark.parametrize("flag", [None, "False", {}, np.zeros(2, bool), np.nan, 2])
def test_an_end_that_is_neither_is_told(flag):
    for place, name in ((2, "terminated"), (3, "truncated")):
        answer = [OBS, 0.0, False, False, {}]
        answer[place] = flag
        with pytest.raises(ValueError, match=f"{name} must be True or False, not "):
            read_step(answer)


@pytest.mark.parametrize(
    ("answer", "message"), [((OBS, 0.0, False, {}), SHIMMY), (OBS, "gives a ndarray"), (None, "None")]
)
def test_a_step_gives_five_values(answer, message):
    with pytest.raises(ValueError, match=message):
        read_step(answer)


@pytest.mark.filterwarnings("error")
def test_a_host_takes_a_reward_of_one_number():
    host = Host(lambda: Step(OBS, np.array([7.0]), np.array([False]), np.False_, {}), 1)
    host.reset([np.zeros((1, 2), np.float32), np.zeros(1, np.int32)], np.uint32(0))
    seen = [np.zeros((1, 2), np.float32) for _ in range(2)]
    reward, ended, over, alive = np.zeros(1, np.float32), np.zeros(1, bool), np.zeros(1, bool), np.zeros((), bool)
    host.step([*seen, reward, ended, over, alive], np.uint32(0), np.zeros(1, np.int32), np.ones((1, 2)))
    assert (alive, reward[0], ended[0], over[0]) == (True, 7.0, False, False)


def test_an_environment_is_not_what_makes_one():
    import ddpg_jax

    with pytest.raises(EnvError, match=r"\(Scripted\) is not a function; pass a function that returns"):
        ddpg_jax.envs.make(Scripted())


@pytest.mark.parametrize("build", [make_trainer, lambda env: make_evaluate(env, None, 1)])
def test_an_environment_of_gymnasium_is_made_into_ours_first(build):
    for thing in (Scripted(), gymnasium.make_vec("Pendulum-v1"), Scripted):
        with pytest.raises(EnvError, match=r"is no ddpg_jax.Env; ddpg_jax.envs.make\(id\) gives one, and so does"):
            build(thing)

"""How environments are made: whatever goes wrong is one line, and nothing stays open."""

import sys

import gymnasium
import numpy as np
import pytest
from worlds import Scripted

from ddpg_jax.envs.gymnasium import bridge
from ddpg_jax.envs.gymnasium.factory import make_checked, make_envs
from ddpg_jax.envs.protocol import EnvError


class PanicError(BaseException):
    """What a library in Rust raises."""


def missing_file():
    return open("/no/such/scene.xml")


def no_licence():
    raise RuntimeError("no licence:\n\tsee \x1b[31mhttp://localhost\x1b[0m \udcff")


def silent():
    raise AssertionError


def panic():
    raise PanicError("unwrap on None")


class NeedsMode(Scripted):
    def __init__(self, render_mode):
        self.render_mode = render_mode


class Spaceless(gymnasium.Env):
    def reset(self, *, seed=None, options=None):
        return np.zeros(2), {}


class NoneSpace(Scripted):
    observation_space = None


class Disconnected(Scripted):
    @property
    def action_space(self):
        raise OSError("no robot attached")


FAULTS = {
    "missing file": (missing_file, "FileNotFoundError: .* No such file or directory: '/no/such/scene.xml'"),
    "several lines": (no_licence, r"RuntimeError: no licence: see \\x1b\[31mhttp://localhost\\x1b\[0m \\udcff$"),
    "no words": (silent, r"AssertionError in line \d+ of .*test_factory.py: raise AssertionError"),
    "an argument": (NeedsMode, "TypeError: .* missing 1 required positional argument: 'render_mode'"),
    "exit": (sys.exit, "SystemExit"),
    "panic": (panic, "PanicError: unwrap on None"),
    "syntax": (lambda: compile("def f(:", "world.py", "exec"), r"SyntaxError: invalid syntax \(world.py, line 1\)"),
    "no spaces": (Spaceless, "has no action_space; set self.action_space to a gymnasium.spaces.Box in its"),
    "space is None": (NoneSpace, "has no observation_space"),
    "space raises": (Disconnected, "cannot be used: OSError: no robot attached"),
}


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("name", FAULTS)
def test_whatever_is_raised_where_an_environment_is_made_is_one_line(name, timeout):
    fault, message = FAULTS[name]
    with pytest.raises(EnvError, match=message) as caught:
        bridge.from_factory(fault, 1, timeout)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("name", FAULTS)
def test_an_id_says_so_by_its_name(name, timeout):
    fault, message = FAULTS[name]
    gymnasium.register("Fault-v0", entry_point=fault)
    with pytest.raises(EnvError, match=message) as caught:
        bridge.make("Fault-v0", 1, timeout)
    assert str(caught.value).startswith(("environment 'Fault-v0' cannot be ", "Fault-v0 has no "))
    assert str(caught.value).isprintable()


def test_an_interrupt_stays_one():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_checked(interrupted)


class Counted(Scripted):
    """Knows how many are open."""

    open, most = [], 0

    def __init__(self):
        self.open.append(self)
        Counted.most = max(Counted.most, len(self.open))

    def close(self):
        self.open.remove(self)
        raise OSError("the window is gone already")


class Other(Counted):
    action_space = gymnasium.spaces.Box(-1, 1, (2,))


def test_what_was_made_is_closed_where_one_cannot_be():
    parts = iter([Counted, Counted, missing_file])
    with pytest.raises(EnvError, match="it was number 3 of 4: where only one may exist, make one environment"):
        make_envs(lambda: next(parts)(), 4)
    assert Counted.open == []


def test_all_environments_are_alike():
    parts = iter([Counted, Other])
    with pytest.raises(EnvError, match="environment 1 has other spaces than environment 0 of Counted"):
        make_envs(lambda: next(parts)(), 2)
    assert Counted.open == []


def test_the_same_environment_twice_is_refused():
    world = Scripted()
    with pytest.raises(EnvError, match="returns the same one again; pass a function that returns a new environment"):
        make_envs(lambda: world, 2)
    assert make_envs(lambda: world, 1) == [world]


@pytest.mark.parametrize("num_envs", [0, -1, 1.5, "2", None])
def test_a_number_of_environments_is_whole_and_positive(num_envs):
    with pytest.raises(EnvError, match=r"num_envs = .* must be a whole number >= 1"):
        make_envs(Scripted, num_envs)


def test_a_sample_is_closed_before_there_is_another():
    gymnasium.register("Counted-v0", entry_point=Counted)
    for make in (lambda: bridge.make("Counted-v0", 1, 5.0), lambda: bridge.from_factory(Counted, 1, 5.0)):
        Counted.most = 0
        make()
        assert Counted.most == 1
        assert Counted.open == []

"""What the host holds comes back to where it stood: at a checkpoint, and after an environment failed."""

import asyncio
import itertools
import re
import sys
from functools import partial
from typing import ClassVar

import chex
import jax
import numpy as np
import pytest
from worlds import Faulty, Progress, Reach, Scripted, Seeing, make_advance

from ddpg_jax import envs
from ddpg_jax.envs.gymnasium import from_factory
from ddpg_jax.envs.protocol import EnvError

WORLDS = {
    "Pendulum-v1": partial(envs.make, "Pendulum-v1"),
    "MountainCarContinuous-v0": partial(envs.make, "MountainCarContinuous-v0"),
    "scripted": partial(from_factory, Scripted),
    "dict": partial(from_factory, Seeing),
    "goals": partial(from_factory, Reach),
}


def restore(env, progress, saved):
    """The learner's progress, its environments brought back."""
    restored = env.restore(progress.state, progress.obs, progress.episode_length, saved)
    chex.assert_trees_all_equal_shapes_and_dtypes(progress.state, restored.state)
    chex.assert_trees_all_equal_shapes_and_dtypes(progress.obs, restored.obs)
    lengths = np.where(restored.exact, progress.episode_length, 0)
    return progress._replace(state=restored.state, obs=restored.obs, episode_length=lengths), restored


@pytest.mark.parametrize(
    ("name", "num_envs"),
    [("Pendulum-v1", 3), ("MountainCarContinuous-v0", 1), ("scripted", 3), ("dict", 3), ("goals", 1)],
)
def test_a_restored_run_goes_on_to_the_bit(name, num_envs):
    first, second = WORLDS[name](num_envs), WORLDS[name](num_envs)
    advance_first, advance_second = make_advance(first), make_advance(second)
    for num_steps in (0, 57, 200):  # a first episode's start, amid one, and the start of Pendulum's next
        progress, _ = advance_first(None, num_steps)
        saved = first.save(progress.episode_length)
        expected = advance_first(progress, 150)
        # In other environments, as in a new process, and where the environments have moved on since.
        for env, advance in ((second, advance_second), (first, advance_first)):
            back, restored = restore(env, progress, saved)
            assert restored.exact.tolist() == [True] * num_envs
            assert restored.reason == ""
            assert env.save(back.episode_length) == saved
            chex.assert_trees_all_equal(advance(back, 150), expected)


class Rejected(Scripted):
    """Ends its second episode with a reward that is not finite."""

    ends = 0
    given: ClassVar = []

    def step(self, action):
        self.given.append(action)
        obs, reward, terminated, truncated, info = super().step(action)
        self.ends += terminated or truncated
        return obs, np.nan if self.ends == 2 else reward, terminated, truncated, info


def test_the_actions_of_an_episode_are_kept_where_the_step_that_ended_it_was_rejected():
    env, undisturbed = from_factory(Rejected), from_factory(Scripted)
    progress, timesteps = make_advance(env)(None, 20)
    assert timesteps[-1].terminated or timesteps[-1].truncated, "the last step ended an episode, and was not taken"
    length = int(progress.episode_length[0])
    saved = env.save(progress.episode_length)
    assert length >= 2
    np.testing.assert_array_equal(np.frombuffer(saved).reshape(-1, 2), Rejected.given[-1 - length : -1])
    back, restored = restore(undisturbed, progress, saved)
    assert restored.exact.all()
    _, (timestep,) = make_advance(undisturbed)(back, 1)
    assert timestep.terminated or timestep.truncated


class Moody(Scripted):
    """Has randomness that its seed does not govern."""

    def observe(self):
        return super().observe() + np.random.default_rng().random()


class Dreaming(Seeing):
    """Has that randomness in one part of what it sees."""

    def observe(self):
        obs = super().observe()
        return obs | {"joints": obs["joints"] | {"time": self.time + np.random.default_rng().random()}}


class Impatient(Scripted):
    """The second one made ends its episodes at once."""

    made = 0

    def __init__(self):
        self.impatient = self.made % 2
        type(self).made += 1

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, terminated, truncated or bool(self.impatient), info


class OnceOnly(Scripted):
    """The second one made cannot step."""

    made = 0

    def __init__(self):
        self.stuck = self.made % 2
        type(self).made += 1

    def step(self, action):
        if self.stuck:
            raise OSError("the gripper\nis stuck")
        return super().step(action)


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (Moody, r"\(observation differs by at most 0\.\d+\)"),
        (Dreaming, r"\(observation differs by at most 0\.\d+\)"),
        (Impatient, r"\(its episode ended at number 1\)"),
        (OnceOnly, r"\(OSError: the gripper is stuck\)"),
    ],
)
def test_an_episode_that_cannot_be_played_again_is_cut_and_the_reason_told(world, why):
    first = from_factory(world)
    progress, _ = make_advance(first)(None, 2)
    env = from_factory(world)
    back, restored = restore(env, progress, first.save(progress.episode_length))
    assert restored.exact.tolist() == [False]
    assert restored.state.number.tolist() == [1]
    assert re.fullmatch(
        f"environment 0 does not stand where it stood after 2 replayed actions {why}", restored.reason
    ), restored.reason
    assert env.save(back.episode_length) == b""
    assert make_advance(env)(back, 1)[1][0].alive


def one_faulty(fault, index):
    """A factory whose environment of that index has the fault, and the others not."""
    made = itertools.count()
    return lambda: Faulty(fault if next(made) == index else lambda: None)


def motor_burns():
    raise RuntimeError("the motor\nis on fire")


def test_after_a_failure_the_others_go_on_to_the_bit_and_the_failed_one_begins_anew():
    env = from_factory(one_faulty(motor_burns, 1), 3)
    progress, _ = make_advance(env)(None, 8)
    assert progress.count == 4
    failure = str(env.failure())
    back, restored = restore(env, progress, env.save(progress.episode_length))
    assert restored.exact.tolist() == [True, False, True]
    assert restored.reason == failure
    assert env.failure() is None
    expected_number = progress.state.number + np.array([0, 1, 0])
    np.testing.assert_array_equal(restored.state.number, expected_number)
    _, timesteps = make_advance(env)(back, 30)
    _, expected = make_advance(from_factory(Scripted, 3))(None, 34)
    assert len(timesteps) == 30
    for timestep, want in zip(timesteps, expected[4:], strict=True):
        for seen, wanted in zip(timestep[:4], want[:4], strict=True):
            np.testing.assert_array_equal(seen[[0, 2]], wanted[[0, 2]])


def test_an_environment_is_made_anew_where_that_is_asked():
    made = []

    def factory():
        made.append(Scripted())
        return made[-1]

    env = from_factory(factory, 2)
    progress, _ = make_advance(env)(None, 2)
    assert re.fullmatch(r"in episode 0 \(seed \d+\), step 2 of it, on the action \[.*\]", env.describe(1))
    saved = env.save(progress.episode_length)
    restored = env.restore(progress.state, progress.obs, progress.episode_length, saved, [1])
    assert len(made) == 3
    assert restored.exact.tolist() == [True, False]
    assert restored.reason == "environment 1 is made anew"
    assert restored.state.number.tolist() == [0, 1]


def test_a_failure_names_its_environment_episode_seed_step_and_action():
    env = from_factory(one_faulty(motor_burns, 1), 2)
    progress, _ = make_advance(env)(None, 8)
    _, length = progress.episode_length.tolist()
    message = str(env.failure())
    assert message.startswith(f"environment 1 failed in episode {progress.state.number[1]} (seed ")
    assert f"), step {length + 1} of it, on the action [" in message
    assert message.endswith("]: RuntimeError: the motor is on fire")
    assert isinstance(env.failure().__cause__, RuntimeError)


class NoSecondEpisode(Scripted):
    """Can be reset once."""

    resets = 0

    def reset(self, *, seed=None, options=None):
        type(self).resets += 1
        if self.resets > 1:
            raise OSError("no robot attached")
        return super().reset(seed=seed)


def test_an_episode_that_cannot_begin_is_named_and_ends_the_restore():
    NoSecondEpisode.resets = 0
    env = from_factory(NoSecondEpisode)
    progress, _ = make_advance(env)(None, 8)
    message = r"environment 0 failed in episode 1 \(seed \d+\), on its reset: OSError: no robot attached"
    with pytest.raises(EnvError, match=message):
        raise env.failure()
    with pytest.raises(EnvError, match=message):
        restore(env, progress, env.save(progress.episode_length))


def test_a_reward_that_is_no_number_is_a_failure_like_any_other():
    class Unpaid(Scripted):
        def step(self, action):
            return super().step(action)[0], "much", False, False, {}

    env = from_factory(Unpaid)
    make_advance(env)(None, 2)
    assert "on the action" in str(env.failure())
    assert "ValueError" in str(env.failure())


def test_an_environment_that_changes_its_action_is_recorded_with_the_one_it_was_given():
    class Clipping(Scripted):
        def step(self, action):
            result = super().step(action)
            action[:] = 0
            return result

    env = from_factory(Clipping)
    progress, _ = make_advance(env)(None, 2)
    _, restored = restore(env, progress, env.save(progress.episode_length))
    actions = np.frombuffer(env.save(progress.episode_length))
    assert restored.exact.all()
    assert (actions != 0).all()


def test_an_episode_of_which_the_host_knows_too_little_is_not_exact():
    env = from_factory(Scripted)
    progress, _ = make_advance(env)(None, 1)
    longer = progress._replace(episode_length=np.array([2], np.int32))
    _, restored = restore(env, longer, env.save(longer.episode_length))
    assert restored.exact.tolist() == [False]


def test_actions_of_another_length_are_refused():
    env = from_factory(Scripted)
    progress, _ = make_advance(env)(None, 2)
    with pytest.raises(EnvError, match=r"actions do not fit: 31 bytes, and its running episodes have 32; use the"):
        restore(env, progress, env.save(progress.episode_length)[:-1])


def test_closing_closes_all_also_where_one_cannot_be_closed():
    closed = []

    class Stubborn(Scripted):
        def close(self):
            closed.append(self)
            raise OSError("the window is gone")

    from_factory(Stubborn, 3).close()
    assert len(closed) == 3


class Blind(Seeing):
    """Sees no number in the reset of its second episode."""

    resets, blind_at = 0, 2

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed)
        type(self).resets += 1
        if self.resets == self.blind_at:
            obs["joints"]["time"] = np.nan
        return obs, info


@pytest.mark.parametrize("num", [0, 1, 2])
def test_a_first_observation_that_is_not_finite_is_named_with_its_reset(num):
    Blind.resets, Blind.blind_at = 0, num + 1
    env = from_factory(Blind)
    progress, timesteps = make_advance(env)(None, 20)
    if num:
        assert not timesteps[-1].alive
        assert progress.state.number == num - 1, "nothing of that step is taken"
    assert re.fullmatch(
        rf"environment 0 failed in episode {num} \(seed \d+\), on its reset: ValueError: "
        r"the observation\['joints'\]\['time'\] is not finite in float32",
        str(env.failure()),
    ), str(env.failure())


def test_a_first_observation_that_is_not_finite_is_found_while_restoring_too():
    Blind.resets, Blind.blind_at = 0, 9
    env = from_factory(Blind)
    progress, _ = make_advance(env)(None, 2)
    saved = env.save(progress.episode_length)
    Blind.blind_at = 10 + Blind.resets
    Blind.resets = Blind.blind_at - 1
    back, restored = restore(env, progress, saved)
    assert "is not finite in float32" in restored.reason
    assert np.isfinite(back.obs["joints"]["time"]).all()
    Blind.blind_at = Blind.resets + 1
    with pytest.raises(EnvError, match=r"in episode 1 \(seed \d+\), on its reset: ValueError: .* is not finite"):
        env.restore(progress.state, progress.obs, progress.episode_length, saved, [0])


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_action_that_is_not_finite_reaches_no_environment(num_envs, bad):
    made = []

    def factory():
        made.append(Faulty(lambda: None))
        return made[-1]

    env = from_factory(factory, num_envs)
    state, first = env.reset(jax.random.key(0))
    action = np.zeros((num_envs, 2), np.float32)
    action[-1, 1] = bad
    *_, timestep = jax.jit(lambda state, action: env.step(None, state, action))(state, action)
    if np.isnan(bad):
        assert not timestep.alive
        assert [world.steps for world in made] == [0] * num_envs
        words = (
            rf"environment {num_envs - 1} is not finite: \[1.0, nan\], in episode 0 \(seed \d+\); it was not stepped"
        )
        assert re.fullmatch(f"the action for {words}", str(env.failure()))
        restore(env, Progress(state, first, np.zeros(num_envs, np.int32), 0), b"")
        assert len(made) == num_envs, "none of them has failed"
    else:  # beyond the bounds is on them
        assert timestep.alive
        assert made[-1].action.tolist() == [1.0, 0.5]


LEAVING = {
    "SystemExit: 3": lambda: sys.exit(3),
    "SystemExit": lambda: sys.exit(),
    "SystemExit: None": lambda: exit_of_site(None),
    "GeneratorExit": lambda: raise_(GeneratorExit()),
    "CancelledError: late": lambda: raise_(asyncio.CancelledError("late")),
    "KeyboardInterrupt": lambda: raise_(KeyboardInterrupt()),
    r"OSError: \udcff": lambda: raise_(OSError("\udcff")),
    "Wordless: (its text cannot be read: ValueError)": lambda: raise_(Wordless()),
}


class Wordless(Exception):  # noqa: N818
    def __str__(self):
        raise ValueError("no words")


def raise_(error):
    raise error


def exit_of_site(code):
    raise SystemExit(code)


class Leaving(Scripted):
    """Leaves in one of its methods."""

    def __init__(self, where, leave):
        self.where, self.leave, self.resets = where, leave, 0

    def reset(self, *, seed=None, options=None):
        self.resets += 1
        if (self.where, self.resets) in (("first reset", 1), ("later reset", 2)):
            self.leave()
        return super().reset(seed=seed)

    def step(self, action):
        if self.where == "step":
            self.leave()
        return super().step(action)

    def close(self):
        self.leave()


@pytest.mark.parametrize("where", ["first reset", "step", "later reset"])
@pytest.mark.parametrize("words", LEAVING)
def test_an_environment_that_asks_to_leave_fails_like_any_other(words, where):
    made = []

    def factory():
        if made and where == "step":
            LEAVING[words]()
        made.append(Leaving(where, LEAVING[words]))
        return made[-1]

    env = from_factory(factory)
    progress, _ = make_advance(env)(None, 9)
    assert str(env.failure()).endswith(f": {words}")
    assert type(env.failure().__cause__).__name__ == words.split(":")[0]
    if where == "step":  # and the next one fails while it is made
        with pytest.raises(EnvError, match=re.escape(words)):
            restore(env, progress, env.save(progress.episode_length))
    env.close()


@pytest.mark.parametrize("words", ["SystemExit: 3", "GeneratorExit", "KeyboardInterrupt"])
def test_leaving_while_an_episode_is_played_again_is_a_reason_or_an_interrupt(words):
    first = from_factory(Scripted)
    progress, _ = make_advance(first)(None, 2)
    made = []

    def factory():
        made.append(Leaving("never" if made else "step", LEAVING[words]))
        return made[-1]

    env = from_factory(factory)
    again = lambda: restore(env, progress, first.save(progress.episode_length))  # noqa: E731
    if words == "KeyboardInterrupt":
        with pytest.raises(EnvError, match="KeyboardInterrupt") as caught:
            again()
        assert isinstance(caught.value.__cause__, KeyboardInterrupt)
    else:
        _, restored = again()
        assert restored.reason.endswith(f"({words})")

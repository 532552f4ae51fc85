"""Environments in processes of their own: the same to the bit, and found where they hang or die."""

import multiprocessing
import os
import re
import signal
import time
from functools import partial

import chex
import gymnasium
import numpy as np
import pytest
from worlds import Faulty, Reach, Scripted, Seeing, make_advance

from ddpg_jax import envs
from ddpg_jax.envs.gymnasium import from_factory
from ddpg_jax.envs.gymnasium.worker import Worker, worker_factory
from ddpg_jax.envs.protocol import EnvError


class StrangeError(Exception):
    """Cannot be sent from one process to another: its constructor wants two values."""

    def __init__(self, joint, angle):
        super().__init__(f"joint {joint}\nis at {angle}")


def bend():
    raise StrangeError("elbow", 181)


def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def processes():
    return multiprocessing.active_children()


@pytest.fixture
def make_workers():
    """`from_factory` whose environments, and their processes, are gone at the test's end."""
    made = []

    def make(*arguments):
        made.append(from_factory(*arguments))
        return made[-1]

    yield make
    for env in made:
        env.close()
    assert processes() == []


@pytest.mark.parametrize("world", [Scripted, Seeing])
def test_workers_play_the_same_game_to_the_bit_also_when_restored_and_interrupted(world, make_workers):
    plain = from_factory(world, 2)
    expected, timesteps = make_advance(plain)(None, 40)
    env = make_workers(world, 2, 5.0)
    progress, before = make_advance(env)(None, 21)
    saved = env.save(progress.episode_length)
    restored = env.restore(progress.state, progress.obs, progress.episode_length, saved)
    assert restored.exact.tolist() == [True, True]
    for process in processes():
        os.kill(process.pid, signal.SIGINT)  # as Ctrl-C does, which is the learner's to answer
    after, rest = make_advance(env)(progress._replace(state=restored.state, obs=restored.obs), 19)
    chex.assert_trees_all_equal(after, expected)
    chex.assert_trees_all_equal(before + rest, timesteps)


def test_the_reward_of_goals_is_known_of_an_environment_in_another_process(make_workers):
    env = make_workers(Reach, 1, 5.0)
    assert env.goal_problem == ""
    assert env.spec.goal_reward(np.zeros((2, 2)), np.array([[0.1, 0.1], [0.2, 0.0]])).tolist() == [0, -1]


FAULTS = {
    "hung": (hang, "hung: no answer within 4 s"),
    "killed": (partial(signal.raise_signal, signal.SIGKILL), "its process died (exit code -9)"),
    "raised": (bend, "StrangeError: joint elbow is at 181"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_named_and_left_behind(name, make_workers):
    fault, message = FAULTS[name]
    env = make_workers(partial(Faulty, fault), 2, 4.0)
    advance = make_advance(env)
    progress, _ = advance(None, 4)
    progress, _ = advance(progress, 4)
    assert progress.count == 4
    failure = str(env.failure())
    assert re.fullmatch(
        rf"environment 0 failed in episode \d+ \(seed \d+\), step \d of it, on the action \[.*\]: {re.escape(message)}",
        failure,
    ), failure
    # The other has the same fault in the same step; but its episode is known up to there.
    restored = env.restore(progress.state, progress.obs, progress.episode_length, env.save(progress.episode_length))
    assert restored.exact.tolist() == [False, True]
    assert restored.reason == failure
    assert len(processes()) == 2
    lengths = np.where(restored.exact, progress.episode_length, 0)
    back = progress._replace(state=restored.state, obs=restored.obs, episode_length=lengths)
    assert advance(back, 1)[1][0].alive


def test_an_environment_registered_in_this_process_alone_is_known_to_the_others():
    gymnasium.register("OnlyHere-v0", Scripted, max_episode_steps=2)
    env = envs.make("OnlyHere-v0", 1, timeout=5.0)
    try:
        _, timesteps = make_advance(env)(None, 4)
        assert [bool(timestep.truncated[0]) for timestep in timesteps] == [False, True, False, True]
    finally:
        env.close()
        gymnasium.registry.pop("OnlyHere-v0")


def test_a_worker_hands_values_through_and_is_an_environment_of_its_own():
    class Exact(Scripted):
        def step(self, action):
            assert action.dtype == np.float64
            return np.array([np.pi, action[0]]), np.float32(0.1), np.bool_(True), False, {"left": "out"}

    worker = worker_factory(Exact, 5.0)()
    assert isinstance(worker, Worker)
    try:
        obs, _ = worker.reset(seed=12)
        assert (obs.dtype, obs.tolist()) == (np.float64, [12, 0])
        obs, reward, terminated, truncated, _ = worker.step(np.array([1 / 3, 0.0]))
        assert obs.tolist() == [np.pi, 1 / 3]
        assert (reward, terminated, truncated) == (float(np.float32(0.1)), True, False)
    finally:
        worker.close()
    assert processes() == []


def test_a_hung_worker_is_closed_without_an_answer():
    worker = worker_factory(partial(Faulty, hang), 600.0)()
    worker.reset(seed=1)
    for _ in range(4):
        worker.step(np.zeros(2))
    worker.send(np.zeros(2))
    time.sleep(0.5)
    begin = time.monotonic()
    worker.close()
    assert time.monotonic() - begin < 60, "and not only when it answers"
    assert processes() == []


def test_an_unusable_environment_is_refused_before_a_process_is_started():
    with pytest.raises(EnvError, match=r"^CartPole-v1 has the action space.*continuous"):
        envs.make("CartPole-v1", 2, timeout=1.0)
    assert processes() == []

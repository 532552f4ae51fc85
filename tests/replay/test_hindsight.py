"""Other goals: which are possible, how often, and what is refused."""

import functools

import jax
import numpy as np
import pytest
from replay_oracle import GAMMA, SPEC, Memory, World

from ddpg_jax.config import ConfigError, ReplayConfig
from ddpg_jax.replay.buffer import make_replay


@functools.cache
def compiled(config, num_envs):
    replay = make_replay(SPEC, config, num_envs)
    many = jax.vmap(replay.sample, (0, None))
    functions = replay.init, replay.add, replay.cut, lambda state: many(jax.random.split(jax.random.key(7), 100), state)
    return [jax.jit(function) for function in functions]


def run(ends, capacity=24, num_envs=2, **settings):
    """A memory after these steps, `|` being a cut, its double in Python, and a large sample of it."""
    config = ReplayConfig(capacity, capacity, GAMMA, **settings)
    init, add, cut, sample = compiled(config, num_envs)
    state, memory, world = init(), Memory(config, num_envs), World(num_envs)
    for end in ends:
        if end == "|":
            which = np.arange(num_envs) == 0
            state = cut(state, which)
            memory.cut(which)
            world.cut(which)
        else:
            step = world.step(end * num_envs)
            state = add(state, step)
            memory.add(step)
    return memory, jax.device_get(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), sample(state)))


def goals_seen(memory, sample):
    """The goals that each row was seen with, `{(time, env): {number: times}}`; 0 is the stored one."""
    seen = {}
    for index, goal in zip(sample.indices.tolist(), sample.batch.obs["desired_goal"][:, 0].tolist(), strict=True):
        place = memory.time_of(index // memory.num_envs), index % memory.num_envs
        counts = seen.setdefault(place, {})
        counts[max(goal, 0)] = counts.get(max(goal, 0), 0) + 1
    return seen


@pytest.mark.parametrize(("kind", "compact"), [("final", True), ("future", False), ("future", True)])
@pytest.mark.parametrize("ends", ["..|.C.T.....", "...|......", "..C..T..", "....C" * 5, "." * 30])
def test_exactly_the_possible_goals_are_seen(kind, compact, ends):
    memory, sample = run(ends, hindsight=kind, compact=compact, n_step=2)
    memory.check(jax.tree.map(lambda leaf: leaf[:100], sample))
    for (time, env), counts in goals_seen(memory, sample).items():
        possible = {memory.successor(t, env)["achieved_goal"][0] for t in memory.goal_times(time, env)}
        lost = memory.lost(memory.window(time, env)[-1], env)
        assert set(counts) == ({0} if lost else {0} | possible)


def test_each_later_step_is_as_likely_as_the_others():
    memory, sample = run("............", hindsight="future", n_step=2)
    counts = goals_seen(memory, sample)[7, 1]
    assert len(counts) == 1 + 5
    total = sum(counts.values())
    assert abs(counts.pop(0) / total - 0.2) < 4 * np.sqrt(0.2 * 0.8 / total)
    assert max(abs(count / total - 0.16) for count in counts.values()) < 4 * np.sqrt(0.16 * 0.84 / total)


def test_the_given_share_of_rows_sees_another_goal():
    _, sample = run("............", hindsight="future", n_step=2)
    seen = sample.batch.obs["desired_goal"][:, 0] > 0
    assert abs(seen.mean() - 0.8) < 4 * np.sqrt(0.2 * 0.8 / seen.size)


@pytest.mark.parametrize(("ratio", "all_of"), [(0.0, 0.0), (1.0, 1.0)])
def test_no_row_or_every_row_can_be_relabelled(ratio, all_of):
    _, sample = run("....C....", hindsight="final", hindsight_ratio=ratio)
    assert (sample.batch.obs["desired_goal"][:, 0] > 0).mean() == all_of


def test_rows_are_chosen_as_without_hindsight():
    (_, plain), (_, other) = (run("...C....", hindsight=kind, n_step=2) for kind in ("none", "future"))
    np.testing.assert_array_equal(plain.indices, other.indices)
    np.testing.assert_array_equal(plain.batch.obs["observation"], other.batch.obs["observation"])
    np.testing.assert_array_equal(plain.batch.discount, other.batch.discount)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"goal_reward": None}, r"compute_reward cannot be traced, or it has none; pass goal_reward="),
        ({"obs": SPEC.obs["observation"]}, r"hindsight = 'future' needs a goal environment"),
        ({"obs": {"observation": SPEC.obs["observation"]}}, r"a dict of achieved_goal, desired_goal, observation"),
        ({"obs": SPEC.obs | {"desired_goal": SPEC.obs["observation"]}}, r"shape \(2,\), desired_goal \(1,\)"),
        ({"obs": SPEC.obs | dict.fromkeys(["achieved_goal", "desired_goal"], SPEC.obs["image"])}, r"\(2, 1\)"),
    ],
)
def test_what_hindsight_needs_is_told(change, message):
    with pytest.raises(ConfigError, match=message):
        make_replay(SPEC._replace(**change), ReplayConfig(hindsight="future"))

"""Running statistics against NumPy, and where they lie in an agent."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import compile_as_users_do

from ddpg_jax import Batch, DDPGConfig, EnvSpec, Transition, ddpg
from ddpg_jax.agent.normalization import OBS, REWARD, Moments, init_moments, merge, standardize, stddev

ONE = np.ones(1)
SPEC = EnvSpec(jax.ShapeDtypeStruct((2,), jnp.float32), -ONE, ONE)
NO = jnp.zeros(2, bool)


class MomentsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_parts_give_what_numpy_makes_of_the_whole(self):
        values = 100 + 3 * np.random.default_rng(0).normal(size=(60, 2))
        moments, step = init_moments(jax.ShapeDtypeStruct((2,), float)), self.variant(merge)
        for part in np.split(values, [1, 4, 30]):
            moments = step(moments, jnp.asarray(part, jnp.float32))
        assert moments.number == 60
        np.testing.assert_allclose(moments.mean, values.mean(0), rtol=1e-6)
        np.testing.assert_allclose(stddev(moments), values.std(0), rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_numbers_by_hand(self):
        moments = self.variant(merge)(known(2, 1.0, 1.0), jnp.array([4.0]))
        np.testing.assert_allclose(moments, [3, 2, np.sqrt(8 / 3), 0, 0], rtol=1e-6, atol=1e-6)
        found = self.variant(standardize)(moments, jnp.array([2.0, 2 + np.sqrt(8 / 3), 1e6]))
        np.testing.assert_allclose(found, [0, 1, 10], rtol=1e-6)


def known(number, mean, deviation):
    """Moments as they are after so many numbers."""
    mean, deviation = jnp.asarray(mean, jnp.float32), jnp.asarray(deviation, jnp.float32)
    return Moments(jnp.uint32(number), mean, deviation, jnp.zeros_like(mean), jnp.zeros_like(mean))


def merged(moments, blocks):
    """Blocks `[T, N, ...]` merged one after the other, by the program that users have."""
    program = jax.jit(
        lambda moments, blocks: jax.lax.scan(lambda m, block: (merge(m, block), None), moments, blocks)[0]
    )
    return compile_as_users_do(program, moments, blocks)(moments, blocks)


def whole(moments):
    """Number, mean and standard deviation in float64."""
    number, *parts = (np.asarray(leaf, float) for leaf in moments)
    return number, parts[0] + parts[2], parts[1] + parts[3]


def together(moments, values):
    """What NumPy makes of known moments and further values, in float64."""
    (number, mean, deviation), values = whole(moments), np.asarray(values, float).reshape(-1, *moments.mean.shape)
    total, delta = number + len(values), values.mean(0) - mean
    squares = number * deviation**2 + len(values) * values.var(0) + delta**2 * number * len(values) / total
    return total, mean + delta * len(values) / total, np.sqrt(squares / total)


# The mean, the deviation, and by how many deviations the mean moves meanwhile.
SCALES = np.array(
    [(0, 1, 0), (1000, 3.04, 0), (1e5, 1, 0), (-1e5, 1, 3), (1e5, 1, -200), (1e-9, 1e-14, 1), (1e14, 1e9, 2)]
)


@pytest.mark.parametrize("num_envs", [1, 16])
def test_they_are_those_of_float64_after_a_billion_numbers(num_envs):
    mean, deviation, drift = SCALES.T
    steps, nothing = 3_000, init_moments(jax.ShapeDtypeStruct((len(SCALES),), float))
    numbers = np.random.default_rng(1).normal(size=(steps, num_envs, len(SCALES)))
    moved = numbers + np.linspace(0, drift, steps)[:, None]
    blocks = jnp.asarray(mean + deviation * moved, jnp.float32)
    few = merged(nothing, blocks)
    # As if a billion had been like these, and then come others.
    before, later = few._replace(number=jnp.uint32(10**9)), blocks + jnp.asarray(deviation, jnp.float32)
    many = merged(before, later)
    for found, expected in ((few, together(nothing, blocks)), (many, together(before, later))):
        assert whole(found)[0] == expected[0]
        np.testing.assert_allclose((whole(found)[1] - expected[1]) / deviation, 0, atol=1e-5)
        np.testing.assert_allclose(whole(found)[2], expected[2], rtol=1e-5)
        np.testing.assert_allclose(stddev(found), expected[2], rtol=1e-5)


def test_what_moves_late_is_followed():
    """A billion numbers of one place, then as many of another, merged in blocks that stand for more than they hold."""
    block = jnp.asarray(1000 + np.random.default_rng(0).normal(size=(4096, 1)), jnp.float32)
    moments, true = known(10**9, [1000.0], [1.0]), (10**9, 1000.0, 1.0)
    for _ in range(10):
        moments, true = merged(moments, block[None] + 5), together(moments, block + 5)
        np.testing.assert_allclose(whole(moments)[1], true[1], rtol=0, atol=1e-9)
    begun = whole(moments)[1] - 1000
    np.testing.assert_allclose(begun, 10 * 4096 * 5 / 1e9, rtol=0.01, err_msg="float32 alone would stand still")


def test_a_large_first_block_far_from_zero_costs_no_digits():
    block = jnp.asarray(1e5 + np.random.default_rng(0).normal(size=(1, 100_000)), jnp.float32)
    found, expected = whole(merged(init_moments(jax.ShapeDtypeStruct((), float)), block)), np.asarray(block, float)
    np.testing.assert_allclose(found[1], expected.mean(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[2], expected.std(), rtol=1e-5)


@pytest.mark.parametrize("unit", [1e-25, 1e-12, 1e-6, 1e5, 1e12, 1e25])
def test_a_unit_changes_nothing(unit):
    values = np.random.default_rng(0).normal(3, 1, size=(300, 4, 1))
    found = []
    for scale in (1, unit):
        blocks = jnp.asarray(scale * values, jnp.float32)
        moments = merged(init_moments(jax.ShapeDtypeStruct((1,), float)), blocks)
        np.testing.assert_allclose(stddev(moments), scale * values.std(), rtol=1e-5)
        found.append(standardize(moments, blocks[:10]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)
    assert np.std(found[0]) > 0.5


@pytest.mark.parametrize("mean", [0.0, 1.0, 0.1, -3e4, 7e-20])
def test_what_never_varies_stays_as_it_is_whatever_its_size(mean):
    moments = merged(init_moments(jax.ShapeDtypeStruct((), float)), jnp.full((1000, 3), mean, jnp.float32))
    assert stddev(moments) == 1
    assert standardize(moments, jnp.float32(mean)) == 0
    # Nor what varies in its last place alone, as the sum of a sine's and a cosine's square does.
    last_place = np.nextafter(np.float32(mean), np.float32(np.inf)) if mean else np.float32(mean)
    either = np.random.default_rng(0).choice(np.array([mean, last_place], np.float32), (1000, 3))
    assert stddev(merged(init_moments(jax.ShapeDtypeStruct((), float)), jnp.asarray(either))) == 1


def test_moments_under_vmap_are_those_one_by_one():
    begun = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), init_moments(jax.ShapeDtypeStruct((), float)))
    found = jax.vmap(merge)(begun, jnp.array([[1.0, 3.0], [0.0, 0.0], [5.0, 6.0]]))
    np.testing.assert_allclose(found.mean, [2, 0, 5.5])
    np.testing.assert_allclose(stddev(found), [1, 1, 0.5])


def step(obs, reward, ended=NO):
    obs = jnp.asarray(obs, jnp.float32)
    return Transition(obs, jnp.zeros((len(obs), 1)), jnp.asarray(reward, jnp.float32), NO, ended, obs)


def test_what_is_observed_lies_in_all_four_networks_and_scales_what_they_see():
    agent = ddpg(SPEC, DDPGConfig(hidden_sizes=(8,), normalize_obs=True))
    begun = agent.init(jax.random.key(0))
    seen = jax.jit(agent.observe)(begun, step([[0.0, 10.0], [2.0, 30.0]], [0.0, 0.0]))
    for variables in (*seen.params, *seen.target_params):
        np.testing.assert_allclose(variables[OBS][0].mean, [1, 20])
        np.testing.assert_allclose(stddev(variables[OBS][0]), [1, 10])
    action = agent.act(seen.params.actor, jnp.array([[2.0, 30.0]]))
    np.testing.assert_allclose(action, agent.act(begun.params.actor, jnp.array([[1.0, 1.0]])), rtol=1e-5)
    q = agent.q_values(seen.params.critic, jnp.array([[2.0, 30.0]]), action)
    np.testing.assert_allclose(q, agent.q_values(begun.params.critic, jnp.array([[1.0, 1.0]]), action), rtol=1e-5)
    chex.assert_trees_all_equal(seen.opt_state, begun.opt_state)


def test_integers_are_left_as_they_are_and_a_dict_is_scaled_leaf_by_leaf():
    obs = {"image": jax.ShapeDtypeStruct((2, 2), jnp.uint8), "speed": jax.ShapeDtypeStruct((1,), jnp.float32)}
    agent = ddpg(SPEC._replace(obs=obs), DDPGConfig(hidden_sizes=(8,), normalize_obs=True))
    state = agent.init(jax.random.key(0))
    given = {"image": jnp.zeros((2, 2, 2), jnp.uint8), "speed": jnp.array([[1.0], [3.0]])}
    state = agent.observe(state, step([[0.0]] * 2, [0.0] * 2)._replace(obs=given, next_obs=given))
    assert len(state.params.actor[OBS]) == 1
    np.testing.assert_allclose(state.params.actor[OBS][0].mean, [2.0])


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    agent = ddpg(SPEC, DDPGConfig(hidden_sizes=(8,), normalize_reward=True), num_envs=2, discount=0.5)
    state = agent.init(jax.random.key(0))
    obs = [[0.0, 0.0]] * 2
    for reward, ended in (([2.0, 4.0], [False, True]), ([1.0, 4.0], [False, False])):
        state = agent.observe(state, step(obs, reward, jnp.array(ended)))
    # Returns 2, 4, then 1 + 0.5 * 2 = 2 and, in a new episode, 4.
    returns, moments = state.params.critic[REWARD]
    np.testing.assert_allclose(returns, [2, 4])
    np.testing.assert_allclose(stddev(moments), 1.0)
    assert REWARD not in state.params.actor
    wide = state.params.critic | {REWARD: state.params.critic[REWARD]._replace(moments=known(1, 0, 4))}
    state = state._replace(params=state.params._replace(critic=wide))
    inputs = jnp.zeros((2, 2)), jnp.zeros((2, 1))
    batch = Batch(*inputs, jnp.array([4.0, 8.0]), jnp.zeros(2), inputs[0], jnp.ones(2))
    _, info = agent.update(jax.random.key(1), state, batch)
    np.testing.assert_allclose(info.target, 6.0, rtol=1e-6, err_msg="in the environment's unit")
    np.testing.assert_allclose(info.td_error, [1.0, 2.0], atol=0.02, err_msg="in the critics' unit")
    unscaled = ddpg(SPEC, DDPGConfig(hidden_sizes=(8,))).q_values({"params": wide["params"]}, *inputs)
    np.testing.assert_allclose(agent.q_values(wide, *inputs), 4 * unscaled, rtol=1e-6)


@pytest.mark.parametrize("kind", ["normalize_obs", "normalize_reward"])
def test_updates_leave_the_statistics_alone_and_the_optimiser_never_sees_them(kind):
    agent = ddpg(SPEC, DDPGConfig(hidden_sizes=(8,), critic_weight_decay=0.5, **{kind: True}), num_envs=2)
    state = agent.observe(agent.init(jax.random.key(0)), step([[1.0, 2.0], [3.0, 5.0]], [1.0, 2.0]))
    batch = Batch(jnp.ones((4, 2)), jnp.ones((4, 1)), jnp.ones(4), jnp.ones(4), jnp.ones((4, 2)), jnp.ones(4))
    after, _ = jax.jit(agent.update)(jax.random.key(1), state, batch)
    for old, new in zip(state.params, after.params, strict=True):
        chex.assert_trees_all_equal(*({key: tree[key] for key in tree if key != "params"} for tree in (old, new)))
        assert not np.array_equal(old["params"]["Dense_0"]["kernel"], new["params"]["Dense_0"]["kernel"])
    shapes = {leaf.shape for leaf in jax.tree.leaves(after.opt_state.actor)}
    assert shapes == {(), (2, 8), (8,), (8, 1), (1,)}


@pytest.mark.parametrize(("obs_unit", "reward_unit"), [(1e-5, 1e-6), (1e5, 1e-3), (1e-20, 1e-20), (1e20, 1e15)])
def test_in_another_unit_an_update_learns_the_same(obs_unit, reward_unit):
    agent = ddpg(SPEC, DDPGConfig(hidden_sizes=(8,), normalize_obs=True, normalize_reward=True), num_envs=4)
    observe, update, found = jax.jit(agent.observe), jax.jit(agent.update), []
    rng, no = np.random.default_rng(0), jnp.zeros(4, bool)
    seen = [(rng.normal([5, -1], [1, 3], (4, 2)), rng.normal(0, 1, 4)) for _ in range(20)]
    for obs_scale, reward_scale in ((1, 1), (obs_unit, reward_unit)):
        state = agent.init(jax.random.key(0))
        for obs, reward in seen:
            state = observe(state, step(obs_scale * obs, reward_scale * reward, no)._replace(terminated=no))
        obs, reward = (jnp.asarray(np.concatenate(parts), jnp.float32) for parts in zip(*seen, strict=True))
        rows = jnp.zeros((80, 1)), reward_scale * reward, jnp.full(80, 0.9)
        batch = Batch(obs_scale * obs, *rows, obs_scale * obs, jnp.ones(80))
        _, info = update(jax.random.key(1), state, batch)
        found.append((info.td_error, info.critic_grad_norm, info.target / reward_scale))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3)
    assert found[0][0].std() > 0.1

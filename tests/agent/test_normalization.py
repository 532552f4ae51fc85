"""Running statistics against NumPy, and where they lie in an agent."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax import Batch, DDPGConfig, EnvSpec, Transition, ddpg
from ddpg_jax.agent.normalization import OBS, REWARD, Moments, merge, no_moments, standardize, stddev

ONE = np.ones(1)
SPEC = EnvSpec(jax.ShapeDtypeStruct((2,), jnp.float32), -ONE, ONE)
NO = jnp.zeros(2, bool)


class MomentsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_parts_give_what_numpy_makes_of_the_whole(self):
        values = 100 + 3 * np.random.default_rng(0).normal(size=(60, 2))
        moments, step = no_moments(jax.ShapeDtypeStruct((2,), float)), self.variant(merge)
        for part in np.split(values, [1, 4, 30]):
            moments = step(moments, jnp.asarray(part, jnp.float32))
        assert moments.number == 60
        np.testing.assert_allclose(moments.mean, values.mean(0), rtol=1e-5)
        np.testing.assert_allclose(stddev(moments), values.std(0), rtol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    def test_numbers_by_hand(self):
        moments = self.variant(merge)(Moments(jnp.float32(2), jnp.float32(1), jnp.float32(2)), jnp.array([4.0]))
        np.testing.assert_allclose(moments, [3, 2, 8])
        found = self.variant(standardize)(moments, jnp.array([2.0, 2 + np.sqrt(8 / 3), 1e6]))
        np.testing.assert_allclose(found, [0, 1, 10], rtol=1e-6)


def test_moments_under_vmap_are_those_one_by_one():
    begun = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), no_moments(jax.ShapeDtypeStruct((), float)))
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
    wide = state.params.critic | {
        REWARD: state.params.critic[REWARD]._replace(moments=Moments(*map(jnp.float32, (1, 0, 16))))
    }
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

"""Noise on the actor's parameters: what is perturbed, when, and how its scale finds its size."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import compile_to_read

from ddpg_jax.agent.exploration import make_exploration
from ddpg_jax.agent.parameter_noise import ParameterNoiseState, parameter_noise
from ddpg_jax.config import ConfigError, ExplorationConfig

KEY = jax.random.key(3)
NEVER = jnp.zeros(2, bool)
ALWAYS = jnp.ones(2, bool)
EYE = {"params": {"kernel": jnp.eye(2)}}
OBS = jnp.array([[1.0, 2.0], [1.0, 2.0]])
# Actors by hand: on OBS they depart by (0.1, 0) and by (0, -0.6), by 0.0707 and 0.4243 in the root of the mean square.
ACTORS = jnp.array([[[1.1, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.7]]])
WIDE = {"params": {"Dense_0": jnp.zeros((60, 50)), "LayerNorm_0": {"scale": jnp.ones(60)}, "Norma": jnp.zeros(900)}}


def linear(params, obs):
    return obs @ params["params"]["kernel"]


def zero(params, obs):
    """A policy that does not depend on its parameters."""
    return jnp.zeros((obs.shape[0], 1))


def by_hand(steps=50):
    """In the middle of an episode, with the actors above and their sums so far."""
    squared_distance = jnp.array([0.005, 0.18]) * steps
    sigma, taken = jnp.array([0.2, 0.2]), jnp.full(2, steps, jnp.int32)
    return ParameterNoiseState({"kernel": ACTORS}, sigma, squared_distance, taken, sigma, ())


class ParameterNoiseTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_each_environment_acts_by_its_own_actor_and_sums_its_distance(self):
        act = self.variant(parameter_noise(linear, 0.2).act)
        action, state = act(KEY, by_hand(), EYE, OBS, NEVER)
        np.testing.assert_allclose(action, [[1.1, 2.0], [1.0, 1.4]], rtol=1e-6)
        np.testing.assert_allclose(state.squared_distance, [51 * 0.005, 51 * 0.18], rtol=1e-5)
        np.testing.assert_array_equal(state.steps, [51, 51])
        np.testing.assert_array_equal(state.perturbed["kernel"], ACTORS)
        np.testing.assert_array_equal(state.sigma, by_hand().sigma)

    @chex.variants(with_jit=True, without_jit=True)
    def test_sigma_grows_where_the_distance_was_small_and_shrinks_where_it_was_large(self):
        act = self.variant(parameter_noise(linear, 0.2).act)
        _, state = act(KEY, by_hand(), EYE, OBS, ALWAYS)
        np.testing.assert_allclose(state.sigma, [0.202, 0.1980198], rtol=1e-6)
        _, twice_as_long = act(KEY, by_hand(100), EYE, OBS, ALWAYS)
        np.testing.assert_allclose(twice_as_long.sigma, [0.2 * 1.01**2, 0.2 / 1.01**2], rtol=1e-6)
        np.testing.assert_array_equal(state.steps, [1, 1])
        moved = np.einsum("ni,nij->nj", OBS, state.perturbed["kernel"] - np.eye(2))
        np.testing.assert_allclose(state.squared_distance, np.mean(moved**2, axis=-1), rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_only_where_an_episode_starts_is_the_actor_renewed(self):
        act = self.variant(parameter_noise(linear, 0.2).act)
        _, state = act(KEY, by_hand(), EYE, OBS, jnp.array([False, True]))
        np.testing.assert_array_equal(state.perturbed["kernel"][0], ACTORS[0])
        assert not np.any(state.perturbed["kernel"][1] == ACTORS[1])
        np.testing.assert_allclose(state.sigma, [0.2, 0.1980198], rtol=1e-6)
        np.testing.assert_array_equal(state.steps, [51, 1])

    @chex.variants(with_jit=True, without_jit=True)
    def test_several_runs_at_once_are_each_their_own(self):
        act, keys = parameter_noise(linear, 0.2).act, jax.random.split(KEY, 2)
        first = jnp.array([[False, True], [False, False]])
        together = self.variant(jax.vmap(act, (0, None, None, None, 0)))(keys, by_hand(), EYE, OBS, first)
        for run in (0, 1):
            alone = act(keys[run], by_hand(), EYE, OBS, first[run])
            chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[run], together), alone, rtol=1e-5)


def test_noise_has_its_scale_and_is_another_one_for_each_parameter_and_environment():
    exploration = parameter_noise(zero, 0.3)
    state = exploration.init(KEY, WIDE, 2)._replace(sigma=jnp.array([0.3, 0.6]))
    _, state = exploration.act(KEY, state, WIDE, jnp.zeros((2, 1)), ALWAYS)
    dense, norma = np.asarray(state.perturbed["Dense_0"]), np.asarray(state.perturbed["Norma"])
    np.testing.assert_allclose(dense.std(axis=(1, 2)), [0.3, 0.6], rtol=0.05)
    np.testing.assert_allclose(dense.mean(axis=(1, 2)), 0, atol=0.04)
    assert np.unique(np.concatenate([dense.ravel(), norma.ravel()])).size > 0.999 * (dense.size + norma.size)
    assert abs(np.corrcoef(dense[0].ravel(), dense[1].ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(dense[0].ravel()[:900], norma[0])[0, 1]) < 0.15


@pytest.mark.parametrize("name", ["LayerNorm_0", "BatchNorm_12", "LayerNorm"])
def test_layers_that_normalise_are_not_perturbed(name):
    params = {"params": {"Torso": {name: {"scale": jnp.arange(4.0)}, "Dense_0": {"kernel": jnp.arange(4.0)}}}}
    exploration = parameter_noise(zero, 0.3)
    _, state = exploration.act(KEY, exploration.init(KEY, params, 2), params, jnp.zeros((2, 1)), ALWAYS)
    torso = state.perturbed["Torso"]
    np.testing.assert_array_equal(torso[name]["scale"], [[0, 1, 2, 3]] * 2)
    assert not np.any(torso["Dense_0"]["kernel"] == np.arange(4.0))


def test_the_actor_is_frozen_while_the_policy_learns_but_its_statistics_are_the_current_ones():
    def policy(params, obs):
        return (obs["x"] - params["batch_stats"]["mean"]) @ params["params"]["kernel"]

    exploration, obs = parameter_noise(policy, 0.2), {"x": OBS}
    params = {**EYE, "batch_stats": {"mean": jnp.zeros(2)}}
    _, state = exploration.act(KEY, exploration.init(KEY, params, 2), params, obs, ALWAYS)
    later = {"params": {"kernel": 100 * jnp.eye(2)}, "batch_stats": {"mean": jnp.array([1.0, 0.0])}}
    action, state = exploration.act(KEY, state, later, obs, jnp.array([False, True]))
    kernel = state.perturbed["kernel"]
    np.testing.assert_allclose(action, jnp.einsum("ni,nij->nj", OBS - jnp.array([1.0, 0.0]), kernel), rtol=1e-5)
    assert np.abs(kernel[0] - np.eye(2)).max() < 1, "frozen"
    assert np.abs(kernel[1] - 100 * np.eye(2)).max() < 1, "renewed from what is learned by now"


def test_a_first_step_in_the_middle_of_an_episode_perturbs_what_is_learned_by_then():
    exploration = parameter_noise(linear, 0.2)
    state = exploration.init(KEY, {"params": {"kernel": 100 * jnp.eye(2)}}, 2)
    _, state = exploration.act(KEY, state, EYE, OBS, NEVER)
    kernel = state.perturbed["kernel"]
    assert np.all(np.abs(kernel - np.eye(2)) < 1)
    assert np.all(kernel != np.eye(2))
    np.testing.assert_array_equal(state.sigma, jnp.full(2, 0.2))
    _, after = exploration.act(jax.random.key(4), state, EYE, OBS, NEVER)
    np.testing.assert_array_equal(after.perturbed["kernel"], kernel)


def test_sigma_settles_where_actions_depart_by_the_wanted_distance():
    """mu = obs W with |obs| = 5 departs by 5 sigma: sigma settles at 0.02, from 0.1."""
    exploration, num_envs = parameter_noise(linear, 0.1), 8
    params, obs = {"params": {"kernel": jnp.ones((2, 100))}}, jnp.tile(jnp.array([3.0, 4.0]), (num_envs, 1))

    @jax.jit
    def episodes(state):  # of one step each, which counts for fifty
        def step(state, key):
            state = state._replace(steps=50 * state.steps, squared_distance=50 * state.squared_distance)
            action, state = exploration.act(key, state, params, obs, jnp.ones(num_envs, bool))
            return state, jnp.mean((action - linear(params, obs)) ** 2, axis=-1) ** 0.5

        return jax.lax.scan(step, state, jax.random.split(KEY, 700))

    state, distance = episodes(exploration.init(KEY, params, num_envs))
    np.testing.assert_allclose(distance[0].mean(), 0.5, rtol=0.1)
    np.testing.assert_allclose(state.sigma, 0.02, rtol=0.15)
    np.testing.assert_allclose(distance[300:].mean(), 0.1, rtol=0.03)


@pytest.mark.parametrize("kind", ["gaussian", "ou", "greedy"])
def test_other_noise_is_added_to_its_actions(kind):
    def near_zero(params, obs):
        return linear(params, obs) / 100

    both = make_exploration(near_zero, 2, ExplorationConfig(kind, stddev=0.05, parameter_noise=0.2))
    alone = parameter_noise(near_zero, 0.2)
    state = both.init(KEY, EYE, 2)
    action, _ = both.act(KEY, state, EYE, OBS, ALWAYS)
    perturbed, _ = alone.act(KEY, alone.init(KEY, EYE, 2), EYE, OBS, ALWAYS)
    noise = {"greedy": 0.0}.get(kind, 0.05) * jax.random.normal(KEY, (2, 2))
    np.testing.assert_allclose(action, perturbed + noise, atol=1e-6)
    assert np.all(perturbed != near_zero(EYE, OBS))


def test_steps_within_an_episode_draw_nothing_and_copy_no_parameters():
    exploration = make_exploration(linear, 48, ExplorationConfig(parameter_noise=0.2))
    params, obs = {"params": {"kernel": jnp.ones((32, 48))}}, jnp.ones((3, 32))

    def run(state, keys, firsts):
        def step(state, step):
            action, state = exploration.act(step[0], state, params, obs, step[1])
            return state, action

        return jax.lax.scan(step, state, (keys, firsts))

    state = exploration.init(KEY, params, 3)
    inputs = (jax.random.split(KEY, 9), jnp.zeros((9, 3), bool))
    program = compile_to_read(jax.jit(run, donate_argnums=0), state, *inputs).as_text()
    conditions = re.findall(r"= \(?f32\[3,32,48\][^=]* conditional\(", program)
    assert len(conditions) == 1
    assert not re.search(r"f32\[3,32,48\]\S* copy\(", program)


@pytest.mark.parametrize("params", [jnp.eye(2), {"kernel": jnp.eye(2)}])
def test_parameters_of_another_form_are_refused(params):
    with pytest.raises(ConfigError, match='a dict with the learned ones under "params"'):
        parameter_noise(linear, 0.1).init(KEY, params, 2)


def episodes_of(exploration, firsts, params=None):
    """The wanted distance and sigma at each of some steps, which begin an episode or not, `[T, N]` each."""
    params = params or EYE
    state, found = exploration.init(KEY, params, 2), []
    act = jax.jit(exploration.act)
    for first in firsts:
        _, state = act(KEY, state, params, OBS, jnp.array(first))
        found.append((state.distance, state.sigma))
    return [np.array(values) for values in zip(*found, strict=True)]


def test_it_decays_from_one_episode_of_an_environment_to_its_next():
    config = ExplorationConfig("greedy", parameter_noise=0.2, decay_rate=0.5, final_stddev=0.04)
    firsts = [[True, True], [False, False], [True, False], [True, True], [True, False]]
    distance, sigma = episodes_of(make_exploration(linear, 2, config), firsts)
    np.testing.assert_allclose(distance[:, 0], [0.2, 0.2, 0.1, 0.05, 0.04], rtol=1e-6)
    np.testing.assert_allclose(distance[:, 1], [0.2, 0.2, 0.2, 0.1, 0.1], rtol=1e-6)
    # Sigma falls as much, but for what an episode of few steps adapts.
    np.testing.assert_allclose(sigma / distance, 1, rtol=5e-3)


@pytest.mark.parametrize(("kind", "final"), [("greedy", 0.05), ("gaussian", 0.025)])
def test_it_decays_over_steps_alone_or_in_proportion_to_other_noise(kind, final):
    config = ExplorationConfig(kind, stddev=0.1, parameter_noise=0.2, decay_steps=8, final_stddev=final)
    exploration = make_exploration(linear, 2, config)
    alone = exploration if kind == "greedy" else exploration._replace(
        init=lambda *given: exploration.init(*given).policy,
        act=lambda key, state, *given: (None, exploration.act(
            key, exploration.init(KEY, EYE, 2)._replace(policy=state), *given)[1].policy),
    )  # fmt: skip
    distance, _ = episodes_of(alone, [[True, True], [False, False], [True, False], [False, False], [True, True]])
    np.testing.assert_allclose(distance[:, 0], [0.2, 0.2, 0.125, 0.125, 0.05], rtol=1e-6)
    np.testing.assert_allclose(distance[:, 1], [0.2, 0.2, 0.2, 0.2, 0.05], rtol=1e-6)


def test_a_distance_that_rises_from_nothing_is_reached():
    distance, sigma = episodes_of(parameter_noise(linear, lambda step: 0.1 * (step > 2)), [[True, True]] * 3)
    np.testing.assert_allclose(distance[:, 0], [0, 0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(sigma[:, 0], [0, 0, 0.1], rtol=1e-6)

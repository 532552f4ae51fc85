"""Networks start where the paper says, take every observation, and can be the user's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.networks import Network, Networks, ensemble, member, mlp_networks
from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Batch, EnvSpec

NUM_INITS = 50


def env_spec(obs_shape=(9,), action_dim=2, dtype=jnp.float32):
    ones = np.ones(action_dim, np.float32)
    return EnvSpec(jax.ShapeDtypeStruct(obs_shape, dtype), -ones, ones)


def layers(network):
    """Parameters of `NUM_INITS` initialisations, `{layer: {"kernel", "bias"}}`, stacked."""
    return jax.jit(jax.vmap(network.init))(jax.random.split(jax.random.key(0), NUM_INITS))["params"]


def some_params(network, seed=0):
    """Parameters of the right structure that need no compilation: half normal numbers."""
    numbers = np.random.default_rng(seed)
    structs = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda struct: numbers.normal(0, 0.5, struct.shape).astype(struct.dtype), structs)


@pytest.mark.parametrize(("which", "inputs"), [("actor", 9), ("critic", 11)])
def test_layers_start_uniform_by_fan_in_and_the_last_at_3e_3(which, inputs):
    params = layers(getattr(mlp_networks(env_spec(), DDPGConfig(hidden_sizes=(16, 25))), which))
    bounds = {"Dense_0": inputs**-0.5, "Dense_1": 0.25, "Dense_2": 3e-3}
    for name, bound in bounds.items():
        for leaf in params[name].values():
            assert np.abs(leaf).max() <= bound
            assert leaf.max() > 0.8 * bound
            assert leaf.min() < -0.8 * bound
            assert abs(leaf.std() - bound / 3**0.5) < 0.15 * bound


def test_layer_norm_is_there_when_asked_for_and_only_then():
    on, off = (
        mlp_networks(env_spec(), DDPGConfig(hidden_sizes=(8, 8), normalization=kind)) for kind in ("layer", "none")
    )
    for normed, plain in zip(on, off, strict=True):
        dense = {"Dense_0", "Dense_1", "Dense_2"}
        assert set(some_params(plain)["params"]) == dense
        assert set(some_params(normed)["params"]) == dense | {"LayerNorm_0", "LayerNorm_1"}


def test_layer_norm_makes_the_hidden_layer_blind_to_the_scale_of_its_input():
    actor = mlp_networks(env_spec(), DDPGConfig(hidden_sizes=(8,), activation="tanh")).actor
    params = some_params(actor)
    params["params"]["Dense_0"]["bias"] *= 0
    obs = 10 * jax.random.normal(jax.random.key(1), (4, 9))
    np.testing.assert_allclose(actor.apply(params, obs), actor.apply(params, 100 * obs), rtol=1e-3)


def test_the_actor_s_outputs_reach_both_bounds_and_never_pass_them():
    actor = mlp_networks(env_spec(), DDPGConfig(hidden_sizes=(8,))).actor
    params = jax.tree.map(lambda leaf: 1e4 * leaf, some_params(actor))
    action = actor.apply(params, jax.random.normal(jax.random.key(1), (100, 9)))
    assert (action.min(), action.max()) == (-1, 1)


@pytest.mark.parametrize(("shape", "dtype"), [((4, 3, 2), jnp.float32), ((4, 3), jnp.uint8), ((), jnp.int32)])
def test_observations_of_any_shape_and_dtype_are_flattened(shape, dtype):
    actor, critic = mlp_networks(env_spec(shape, 2, dtype), DDPGConfig(hidden_sizes=(8,)))
    actor_params, critic_params = some_params(actor), some_params(critic)
    obs = jax.random.randint(jax.random.key(2), (5, *shape), 0, 256).astype(dtype)
    action = actor.apply(actor_params, obs)
    value = critic.apply(critic_params, obs, action)
    assert (action.shape, action.dtype) == ((5, 2), jnp.float32)
    assert (value.shape, value.dtype) == ((5,), jnp.float32)
    flat = mlp_networks(env_spec((max(1, np.prod(shape, dtype=int)),)), DDPGConfig(hidden_sizes=(8,)))
    same = flat.actor.apply(actor_params, obs.reshape(5, -1).astype(jnp.float32))
    np.testing.assert_allclose(action, same, rtol=1e-5, atol=1e-6)


def test_the_critic_sees_observation_and_action():
    _, critic = mlp_networks(env_spec(), DDPGConfig(hidden_sizes=(8,), activation="tanh"))
    params = some_params(critic)
    value = jax.jit(critic.apply)
    here = value(params, jnp.zeros((1, 9)), jnp.zeros((1, 2)))
    for dimension in range(9):
        assert value(params, jnp.eye(9)[dimension : dimension + 1], jnp.zeros((1, 2))) != here
    for dimension in range(2):
        assert value(params, jnp.zeros((1, 9)), jnp.eye(2)[dimension : dimension + 1]) != here


def test_members_of_an_ensemble_differ_and_each_gives_its_own_row():
    _, one = mlp_networks(env_spec(), DDPGConfig(hidden_sizes=(8,)))
    critics = ensemble(one, 3)
    params = jax.jit(critics.init)(jax.random.key(0))
    obs, action = jnp.ones((5, 9)), jnp.ones((5, 2))
    values = critics.apply(params, obs, action)
    assert values.shape == (3, 5)
    for k in range(3):
        np.testing.assert_allclose(values[k], one.apply(member(params, k), obs, action), rtol=1e-5)
    kernels = params["params"]["Dense_0"]["kernel"]
    assert not np.any(kernels[0] == kernels[1])
    assert not np.any(kernels[1] == kernels[2])


def test_an_agent_takes_the_user_s_own_networks():
    networks = Networks(
        actor=Network(lambda key: {"gain": jnp.float32(0.5)}, lambda params, obs: jnp.tanh(params["gain"] * obs)),
        critic=Network(
            lambda key: {"bias": jnp.float32(2.0)}, lambda params, obs, action: params["bias"] + action[:, 0]
        ),
    )
    agent = ddpg(env_spec((1,), 1), DDPGConfig(num_critics=2), networks)
    state = jax.jit(agent.init)(jax.random.key(0))
    obs = jnp.ones((4, 1))
    np.testing.assert_allclose(agent.act(state.params.actor, obs), np.tanh(np.full((4, 1), 0.5)), rtol=1e-6)
    batch = Batch(obs, obs, jnp.ones(4), jnp.zeros(4), obs, jnp.ones(4))
    state, info = jax.jit(agent.update)(jax.random.key(1), state, batch)
    np.testing.assert_allclose(info.q, 3.0)
    np.testing.assert_allclose(info.td_error, [2.0] * 4)
    assert state.params.critic["bias"].shape == (2,)

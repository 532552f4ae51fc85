"""Networks start where the paper says, take every observation, and can be the user's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.mlp_networks import mlp_networks
from ddpg_jax.agent.networks import Network, Networks, ensemble, flax_network, member
from ddpg_jax.config import ConfigError, DDPGConfig
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
        actor=Network(
            lambda key: {"params": jnp.float32(0.5)}, lambda variables, obs: jnp.tanh(variables["params"] * obs)
        ),
        critic=Network(
            lambda key: {"params": {"bias": jnp.float32(2.0)}},
            lambda variables, obs, action: variables["params"]["bias"] + action[:, 0],
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
    assert state.params.critic["params"]["bias"].shape == (2,)


def update_once(agent, state, batch=4):
    """An agent's state after one update on random rows."""
    keys = jax.random.split(jax.random.key(3), 3)
    obs, next_obs = (jax.random.normal(key, (batch, 9)) for key in keys[:2])
    action = jax.random.uniform(keys[2], (batch, 2), minval=-1)
    rows = Batch(obs, action, jnp.ones(batch), jnp.ones(batch), next_obs, jnp.ones(batch))
    return jax.jit(agent.update)(jax.random.key(4), state, rows)[0], rows


def test_batch_norm_uses_the_batch_while_it_learns_and_running_statistics_otherwise():
    actor = mlp_networks(env_spec(), DDPGConfig(hidden_sizes=(3,), normalization="batch", activation="tanh")).actor
    params = some_params(actor)["params"]
    variables = {**actor.init(jax.random.key(0)), "params": params}
    obs = jax.random.normal(jax.random.key(1), (50, 9))
    hidden = np.asarray(obs @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])
    output, moved = actor.train(variables, obs)
    statistics = moved["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(statistics["mean"], 0.01 * hidden.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(statistics["var"], 0.99 + 0.01 * hidden.var(0), rtol=1e-4)

    def rest(normalized):
        norm = params["BatchNorm_0"]
        inner = np.tanh(normalized * norm["scale"] + norm["bias"])
        return np.tanh(inner @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"])

    own = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)
    np.testing.assert_allclose(output, rest(own), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(actor.apply(variables, obs), rest(hidden / np.sqrt(1 + 1e-5)), rtol=1e-3, atol=1e-4)


def test_batch_norm_s_statistics_move_with_each_update_and_targets_take_them_over():
    agent = ddpg(env_spec(), DDPGConfig(hidden_sizes=(8,), normalization="batch", num_critics=2))
    begun = agent.init(jax.random.key(0))
    after, rows = update_once(agent, begun)
    for learned, target, old in zip(after.params, after.target_params, begun.params, strict=True):
        statistics = jax.tree.leaves(learned["batch_stats"])
        assert all(np.any(new != was) for new, was in zip(statistics, jax.tree.leaves(old["batch_stats"]), strict=True))
        for mine, its in zip(statistics, jax.tree.leaves(target["batch_stats"]), strict=True):
            np.testing.assert_array_equal(mine, its)
    assert not np.array_equal(*after.params.critic["batch_stats"]["BatchNorm_0"]["mean"])
    bad = rows._replace(reward=jnp.full(4, jnp.nan))
    skipped, _ = jax.jit(agent.update)(jax.random.key(5), after, bad)
    for new, was in zip(jax.tree.leaves(skipped.params), jax.tree.leaves(after.params), strict=True):
        np.testing.assert_array_equal(new, was)


def test_batch_norm_is_float64_where_jax_has_64_bits():
    with jax.enable_x64(True):
        agent = ddpg(env_spec(dtype=jnp.float64), DDPGConfig(hidden_sizes=(8,), normalization="batch"))
        state, _ = update_once(agent, agent.init(jax.random.key(0)))
        floats = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        assert {leaf.dtype for leaf in floats} == {np.dtype(np.float64)}


def test_critics_may_have_sizes_of_their_own():
    actor, critic = mlp_networks(env_spec(), DDPGConfig(hidden_sizes=(8,), critic_hidden_sizes=(5, 7)))
    assert some_params(actor)["params"]["Dense_0"]["kernel"].shape == (9, 8)
    assert [some_params(critic)["params"][f"Dense_{k}"]["kernel"].shape for k in range(3)] == [(11, 5), (5, 7), (7, 1)]


IMAGE = jax.ShapeDtypeStruct((16, 12, 3), jnp.uint8)


@pytest.mark.parametrize("extra", [{}, {"speed": jax.ShapeDtypeStruct((2,), jnp.float32)}])
def test_images_go_through_convolutions_and_vectors_beside_them(extra):
    spec = env_spec()._replace(obs={"camera": IMAGE, **extra} if extra else IMAGE)
    agent = ddpg(spec, DDPGConfig(hidden_sizes=(8,), torso="conv", normalization="batch"))
    state = jax.jit(agent.init)(jax.random.key(0))
    torso = state.params.actor["params"]["Torso_0"]
    assert [torso[f"Conv_{k}"]["kernel"].shape[2:] for k in range(3)] == [(3, 16), (16, 32), (32, 32)]
    image = jax.random.randint(jax.random.key(1), (4, 16, 12, 3), 0, 256).astype(jnp.uint8)
    obs = {"camera": image, "speed": jnp.ones((4, 2))} if extra else image
    rows = Batch(obs, jnp.zeros((4, 2)), jnp.ones(4), jnp.ones(4), obs, jnp.ones(4))
    state, info = jax.jit(agent.update)(jax.random.key(2), state, rows)
    assert np.isfinite(info.critic_loss)
    action = agent.act(state.params.actor, obs)
    assert action.shape == (4, 2)
    assert not np.allclose(action[0], action[1], atol=1e-7)


def test_a_torso_without_images_is_refused():
    with pytest.raises(
        ConfigError, match=r"torso = 'conv' needs images .* has the shape \(9,\); choose torso = 'flat'"
    ):
        mlp_networks(env_spec(), DDPGConfig(torso="conv"))


def test_a_dict_of_observations_is_joined_in_the_order_of_its_keys():
    parts = {"b": jax.ShapeDtypeStruct((2,), jnp.float32), "a": jax.ShapeDtypeStruct((1, 3), jnp.float32)}
    actor = mlp_networks(env_spec()._replace(obs=parts), DDPGConfig(hidden_sizes=(8,))).actor
    flat = mlp_networks(env_spec((5,)), DDPGConfig(hidden_sizes=(8,))).actor
    params, row = some_params(actor), jnp.arange(5.0)[None]
    np.testing.assert_array_equal(
        actor.apply(params, {"a": row[:, None, :3], "b": row[:, 3:]}), flat.apply(params, row)
    )


def test_a_flax_module_of_one_s_own_is_a_network_in_one_line_each():
    import flax.linen as nn

    class MyActor(nn.Module):
        @nn.compact
        def __call__(self, obs, train=False):
            hidden = nn.BatchNorm(use_running_average=not train)(nn.Dense(8)(obs))
            return nn.tanh(nn.Dense(2)(hidden))

    class MyCritic(nn.Module):
        @nn.compact
        def __call__(self, obs, action):
            return nn.Dense(1)(jnp.concatenate([obs, action], axis=-1)).squeeze(-1)

    obs, action = jnp.zeros((1, 9)), jnp.zeros((1, 2))
    networks = Networks(flax_network(MyActor(), obs), flax_network(MyCritic(), obs, action))
    agent = ddpg(env_spec(), DDPGConfig(num_critics=3), networks)
    begun = agent.init(jax.random.key(0))
    after, _ = update_once(agent, begun)
    assert np.any(after.params.actor["batch_stats"]["BatchNorm_0"]["mean"] != 0)
    assert set(after.params.critic) == {"params"}


def test_variables_of_another_form_are_refused_with_what_to_do():
    wrong = Networks(
        Network(lambda key: [jnp.zeros(3)], lambda variables, obs: obs), mlp_networks(env_spec(), DDPGConfig()).critic
    )
    with pytest.raises(
        ConfigError, match=r"the actor network's init gives a list, which must be a dict with .*'params'"
    ):
        ddpg(env_spec(), DDPGConfig(), wrong)

"""Networks of a user's own are refused when an agent is built, where they would broadcast silently, or fail later."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax import Batch, ConfigError, DDPGConfig, EnvSpec, Network, Networks, ddpg, flax_network

SPEC = EnvSpec(jax.ShapeDtypeStruct((3,), jnp.float32), -np.ones(2), np.ones(2))
ACTOR, Q = "the actor network's apply gives ", "the critic network's apply gives "


def network(apply, train=None):
    return Network(lambda key: {"params": {"w": jnp.ones(3)}}, apply, train)


def good_actor(variables, obs):
    return jnp.tanh(obs @ variables["params"]["w"])[:, None] * jnp.ones(2)


def good_critic(variables, obs, action):
    return obs @ variables["params"]["w"] + action.sum(-1)


def column(variables, *inputs):
    return good_critic(variables, *inputs)[:, None]


def rows(size=5, dtype=jnp.float32):
    obs, action = jnp.ones((size, 3), dtype), jnp.zeros((size, 2), dtype)
    return Batch(obs, action, jnp.arange(1.0 * size), jnp.zeros(size), obs, jnp.ones(size))


CRITICS = {
    "a column": (column, {}, r"float32\[B, 1\], and must give float32\[B\], one Q for each of B rows: squeeze\(-1\)"),
    "without B": (lambda v, obs, action: v["params"]["w"].sum(), {}, r"float32\[\], and must give float32\[B\]"),
    "one for all": (lambda v, obs, action: good_critic(v, obs, action).mean(keepdims=True), {}, r"float32\[1\], and"),
    "whole numbers": (lambda *given: good_critic(*given).astype(int), {}, r"int32\[B\], and must give float32\[B\]"),
    "a tuple": (lambda *given: (good_critic(*given), 0.0), {}, r"\('float32\[B\]', .*\), and must give float32\[B\]"),
    "atoms": (
        lambda *given: good_critic(*given)[:, None] * jnp.ones(51), {},
        r"float32\[B, 51\], and must give float32\[B\], .* or set num_atoms to its size",
    ),
    "too few atoms": (
        lambda *given: good_critic(*given)[:, None] * jnp.ones(50), {"num_atoms": 51},
        r"float32\[B, 50\], and must give float32\[B, 51\], num_atoms = 51 logits for each of B rows",
    ),
    "no atoms": (good_critic, {"num_atoms": 51}, r"float32\[B\], and must give float32\[B, 51\]"),
    "pairs": (lambda *given: good_critic(*given)[:, None] * good_critic(*given), {}, r"float32\[B, B\], and must"),
}  # fmt: skip

ACTORS = {
    "without A": (
        lambda v, obs: good_actor(v, obs)[:, 0],
        r"float32\[B\], and must give float32\[B, 2\], an action of 2",
    ),
    "one action": (lambda v, obs: good_actor(v, obs)[:, :1], r"float32\[B, 1\], and must give float32\[B, 2\]"),
    "without B": (lambda v, obs: v["params"]["w"][:2], r"float32\[2\], and must give float32\[B, 2\]"),
    "one row": (lambda v, obs: v["params"]["w"][None, :2], r"float32\[1, 2\], and must give float32\[B, 2\]"),
    "whole numbers": (lambda v, obs: jnp.sign(good_actor(v, obs)).astype(int), r"int32\[B, 2\], and must give float32"),
}


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_of_another_shape_is_refused_with_both(name):
    apply, settings, message = CRITICS[name]
    with pytest.raises(ConfigError, match=Q + message):
        ddpg(SPEC, DDPGConfig(**settings), Networks(network(good_actor), network(apply)))


@pytest.mark.parametrize("name", ACTORS)
def test_an_actor_of_another_shape_is_refused_with_both(name):
    apply, message = ACTORS[name]
    with pytest.raises(ConfigError, match=ACTOR + message):
        ddpg(SPEC, DDPGConfig(), Networks(network(apply), network(good_critic)))


def test_train_is_looked_at_too():
    def trained(variables, *inputs):
        return column(variables, *inputs), variables

    def changed(variables, *inputs):
        return good_critic(variables, *inputs), {**variables, "count": jnp.zeros(())}

    for train, message in [
        (trained, r"train gives float32\[B, 1\], and must give float32\[B\]"),
        (changed, r"train must give \(output, variables\), the variables in the structure, shapes and dtypes of init"),
        (good_critic, r"train must give \(output, variables\), and gives a ShapeDtypeStruct; leave it out"),
    ]:
        with pytest.raises(ConfigError, match=message):
            ddpg(SPEC, DDPGConfig(), Networks(network(good_actor), network(good_critic, train)))


def test_a_network_that_fails_is_named_with_what_it_was_given():
    with pytest.raises(ConfigError, match=r"critic network's apply fails on float32\[B, 3\] and float32\[B, 2\]: .*3"):
        ddpg(SPEC, DDPGConfig(), Networks(network(good_actor), network(lambda v, obs, action: obs @ action)))
    with pytest.raises(ConfigError, match=r"the critic network's apply fails on .*takes 2 positional arguments but 3"):
        ddpg(SPEC, DDPGConfig(), Networks(network(good_actor), network(good_actor)))


def test_the_remedy_works():
    right = network(lambda *given: column(*given).squeeze(-1))
    agent = ddpg(SPEC, DDPGConfig(num_critics=2), Networks(network(good_actor), right))
    _, info = jax.jit(agent.update)(jax.random.key(0), agent.init(jax.random.key(1)), rows())
    np.testing.assert_allclose(info.td_error, abs(3 - np.arange(5.0)), rtol=1e-6)
    as_atoms = network(lambda *given: column(*given) * jnp.arange(7.0))
    ddpg(SPEC, DDPGConfig(num_atoms=7), Networks(network(good_actor), as_atoms))


@pytest.mark.parametrize("x64", [False, True])
def test_outputs_of_a_shorter_float_are_taken(x64):
    """A module in bfloat16, or in float32 where JAX has 64 bits."""
    with jax.enable_x64(x64):
        dtype = jnp.float32 if x64 else jnp.bfloat16

        class Actor(nn.Module):
            @nn.compact
            def __call__(self, obs):
                return nn.tanh(nn.Dense(2, dtype=dtype)(obs))

        class Critic(nn.Module):
            @nn.compact
            def __call__(self, obs, action):
                return nn.Dense(1, dtype=dtype)(jnp.concatenate([obs, action], axis=-1)).squeeze(-1)

        obs, action = jnp.zeros((1, 3)), jnp.zeros((1, 2))
        agent = ddpg(SPEC, DDPGConfig(), Networks(flax_network(Actor(), obs), flax_network(Critic(), obs, action)))
        state, info = jax.jit(agent.update)(jax.random.key(0), agent.init(jax.random.key(1)), rows(dtype=float))
        assert agent.act(state.params.actor, jnp.ones((4, 3))).dtype == jnp.zeros(()).dtype
        assert {leaf.dtype for leaf in info} == {jnp.zeros(()).dtype}


def test_what_an_agent_holds_is_its_own():
    """A network may give the very same arrays each time: donated, they would be gone."""
    kept = {"params": {"w": jnp.ones(3)}}
    nets = Networks(Network(lambda key: kept, good_actor), Network(lambda key: kept, good_critic))
    agent = ddpg(SPEC, DDPGConfig(), nets)
    update = jax.jit(agent.update, donate_argnums=1)
    for _ in range(2):
        update(jax.random.key(0), agent.init(jax.random.key(1)), rows())
    assert not kept["params"]["w"].is_deleted()

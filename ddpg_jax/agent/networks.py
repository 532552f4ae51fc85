"""Actor and critic networks behind two functions, so that the rest never sees the network library."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Array, EnvSpec, Key, Tree, float_dtype


class Network(NamedTuple):
    """A parametrised function.

    Attributes:
        init: `init(key) -> params`.
        apply: `apply(params, ...) -> array`.
    """

    init: Callable[[Key], Tree]
    apply: Callable[..., Array]


class Networks(NamedTuple):
    """What an agent is made of.

    Attributes:
        actor: `apply(params, obs [B, O]) -> action [B, A]` in [-1, 1].
        critic: `apply(params, obs [B, O], action [B, A]) -> q [B]`, one critic of the ensemble.
    """

    actor: Network
    critic: Network


def flat_obs(obs: Array, spec: EnvSpec) -> Array:
    """Observations `[..., *shape]` as floating-point vectors `[..., O]`."""
    batch_shape = obs.shape[: obs.ndim - len(spec.obs.shape)]
    dtype = obs.dtype if jnp.issubdtype(obs.dtype, jnp.floating) else float_dtype()
    return obs.reshape(*batch_shape, -1).astype(dtype)


def mlp_networks(spec: EnvSpec, config: DDPGConfig) -> Networks:
    """Multilayer perceptrons: a = tanh(f(s)) and Q = g([s, a]) (Lillicrap et al., 2015, section 7).

    Args:
        spec: observation shape and number of action dimensions.
        config: sizes, activation and normalization of the hidden layers.
    """
    # flax imports rich and more; imported here, `import ddpg_jax` stays light.
    from ddpg_jax.agent.mlp import MLP

    hidden = (config.hidden_sizes, config.activation, config.normalization)
    actor: Any = MLP(spec.action_dim, *hidden)
    critic: Any = MLP(1, *hidden)
    obs, action = jnp.zeros(spec.obs.shape, spec.obs.dtype), jnp.zeros(spec.action_dim)

    def act(params: Tree, obs: Array) -> Array:
        return jnp.tanh(actor.apply(params, flat_obs(obs, spec)))

    def evaluate(params: Tree, obs: Array, action: Array) -> Array:
        inputs = jnp.concatenate([flat_obs(obs, spec), action], axis=-1)
        return critic.apply(params, inputs).squeeze(-1)

    return Networks(
        actor=Network(lambda key: actor.init(key, flat_obs(obs, spec)), act),
        critic=Network(lambda key: critic.init(key, jnp.concatenate([flat_obs(obs, spec), action])), evaluate),
    )


def ensemble(network: Network, size: int) -> Network:
    """K networks of one shape with parameters of their own, `params` stacked and outputs `[K, ...]`."""

    def init(key: Key) -> Tree:
        return jax.vmap(network.init)(jax.random.split(key, size))

    def apply(params: Tree, *inputs: Array) -> Array:
        # One product for each critic: a batched one runs 40 % slower on CPU (benchmarks/NOTES.md).
        return jnp.stack([network.apply(member(params, k), *inputs) for k in range(size)])

    return Network(init, apply)


def member(params: Tree, index: int) -> Tree:
    """Parameters of one network of an ensemble."""
    return jax.tree.map(lambda leaf: leaf[index], params)

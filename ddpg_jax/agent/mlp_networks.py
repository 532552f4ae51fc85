"""The networks that settings describe: fully connected layers, and convolutions where images are seen."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.agent.kernel_choice import with_kernels
from ddpg_jax.agent.networks import Network, Networks, flax_network, wrap
from ddpg_jax.agent.observations import check_torso, concatenate, split_obs
from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Array, EnvSpec, Tree, float_dtype


def mlp_networks(spec: EnvSpec, config: DDPGConfig) -> Networks:
    """Multilayer perceptrons: a = tanh(f(s)) and Q = g([s, a]).

    Args:
        spec: observation shapes and number of action dimensions.
        config: sizes, activation and normalization of the hidden layers, and what sees images.

    Raises:
        ConfigError: if images are to be seen and the observation holds none.

    Source: Lillicrap et al. (2015), section 7.
    """
    # flax imports rich and more; imported here, `import ddpg_jax` stays light.
    from ddpg_jax.agent.mlp import MLP, draw_uniform

    check_torso(spec, config)
    hidden = (config.activation, config.normalization)
    actor = MLP(spec.action_dim, config.hidden_sizes, *hidden)
    critic = MLP(config.num_atoms, config.critic_hidden_sizes or config.hidden_sizes, *hidden)

    def preprocess(obs: Tree, *action: Array) -> tuple[Array | None, tuple[Array, ...]]:
        vectors, images = split_obs(obs, spec, config)
        return concatenate([*vectors, *action]), images

    def make(module: Any, *inputs: Tree) -> Network:
        network = flax_network(module, *zeros_like(jax.eval_shape(preprocess, *inputs)))
        return with_kernels(network._replace(init=lambda key: draw_uniform(key, network.init(key))), config)

    action = jax.ShapeDtypeStruct((spec.action_dim,), float_dtype())
    return Networks(
        actor=wrap(make(actor, spec.obs), preprocess, jnp.tanh),
        critic=wrap(make(critic, spec.obs, action), preprocess, value_or_logits(config)),
    )


def zeros_like(structs: Tree) -> Tree:
    """Zeros of NumPy's, which take no program to make."""
    return jax.tree.map(lambda struct: np.zeros(struct.shape, struct.dtype), structs)


def value_or_logits(config: DDPGConfig) -> Callable[[Array], Array]:
    """A critic's last layer `[B, L]` as it is, or as Q `[B]` where that is one number."""
    return (lambda output: output) if config.num_atoms > 1 else (lambda output: output.squeeze(-1))

"""What an agent is put together from: networks, head, optimisers, targets."""

from collections.abc import Callable
from typing import NamedTuple

from ddpg_jax.agent.heads import Head, make_head
from ddpg_jax.agent.losses import smooth_target_action
from ddpg_jax.agent.networks import Network, Networks, ensemble, first
from ddpg_jax.agent.normalization import Normalization
from ddpg_jax.agent.optimizer import LeafOperations, Optimizer, make_leaf_operations, make_optimizer
from ddpg_jax.agent.target_networks import TargetUpdate, make_target_update
from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Array, Key


class Optimizers(NamedTuple):
    """The optimisers of the two networks."""

    actor: Optimizer
    critic: Optimizer


class Parts(NamedTuple):
    """What an agent is put together from, as the settings say.

    Attributes:
        actor: mu.
        critic: Q, all K of them.
        first_critic: the first alone, whose Q the actor's loss is made of.
        head: what the critics' outputs mean: a value, or a distribution.
        smooth: `smooth(key, action) -> action`, target policy smoothing.
        normalization: of observations and rewards.
        optimizer: the actor's and the critics'.
        target_update: how target networks follow.
        leaves: norms and target steps over all leaves of a tree.
    """

    actor: Network
    critic: Network
    first_critic: Network
    head: Head
    smooth: Callable[[Key, Array], Array]
    normalization: Normalization
    optimizer: Optimizers
    target_update: TargetUpdate
    leaves: LeafOperations


def make_parts(config: DDPGConfig, networks: Networks, normalization: Normalization) -> Parts:
    """Put the parts together as the settings say."""
    leaves = make_leaf_operations(config)
    return Parts(
        actor=normalization.actor(networks.actor),
        critic=normalization.critic(ensemble(networks.critic, config.num_critics)),
        first_critic=normalization.critic(first(networks.critic)),
        head=make_head(config),
        smooth=make_smoothing(config),
        normalization=normalization,
        optimizer=Optimizers(
            actor=make_optimizer(
                config.actor_lr, config.actor_lr_schedule, config, config.actor_weight_decay, config.policy_delay
            ),
            critic=make_optimizer(config.critic_lr, config.critic_lr_schedule, config, config.critic_weight_decay),
        ),
        target_update=make_target_update(config, leaves),
        leaves=leaves,
    )


def make_smoothing(config: DDPGConfig) -> Callable[[Key, Array], Array]:
    """Target policy smoothing as a function of `(key, action)`; the identity without noise."""
    if not config.target_noise:
        return lambda key, action: action
    return lambda key, action: smooth_target_action(key, action, config.target_noise, config.target_noise_clip)

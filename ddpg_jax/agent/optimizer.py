"""Gradient clipping, weight decay and Adam, put together from the settings."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Array, Tree

# From a learning rate, the fraction of it that is left and the steps until then.
SCHEDULES: dict[str, Callable[[float, float, int], float | optax.Schedule]] = {
    "linear": lambda rate, fraction, steps: optax.linear_schedule(rate, rate * fraction, steps),
    "cosine": lambda rate, fraction, steps: optax.cosine_decay_schedule(rate, steps, fraction),
    "constant": lambda rate, fraction, steps: rate,
}


def global_norm(tree: Tree) -> Array:
    """Euclidean norm over all leaves of a tree, |g| = sqrt(sum g_i^2).

    As inner products, which XLA runs as it runs matrix products (benchmarks/NOTES.md).
    """
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(tree)))


def clip_by_global_norm(max_norm: float) -> optax.GradientTransformationExtraArgs:
    """Scale the gradient down to a norm: g <- g min(1, c / |g|), where |g| is given to `update` as `norm`.

    Source: Pascanu et al. (2013), algorithm 1.
    """

    def update(
        grads: Tree, state: optax.OptState, params: Tree = None, *, norm: Array, **others: Any
    ) -> tuple[Tree, optax.OptState]:
        scale = jnp.minimum(1, max_norm / norm)
        return jax.tree.map(lambda leaf: leaf * scale, grads), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def make_optimizer(
    learning_rate: float, schedule: str, config: DDPGConfig, weight_decay: float = 0.0, period: int = 1
) -> optax.GradientTransformationExtraArgs:
    """Clip the global norm, add the L2 penalty's gradient, then Adam (Kingma and Ba, 2015).

    Args:
        learning_rate: at the start.
        schedule: how it falls, one of `SCHEDULES`.
        config: clipping, and how far and how long the learning rate falls.
        weight_decay: coefficient c of the penalty c |phi|^2 / 2.
        period: updates of the agent for each step of this optimiser; its schedule has as many fewer steps.
    """
    steps = -(-config.lr_decay_updates // period)
    rate = SCHEDULES[schedule](learning_rate, config.lr_final_fraction, steps) if steps else learning_rate
    chain = optax.chain(
        optax.identity() if config.max_grad_norm is None else clip_by_global_norm(config.max_grad_norm),
        optax.add_decayed_weights(weight_decay) if weight_decay else optax.identity(),
        optax.adam(rate),
    )
    return optax.with_extra_args_support(chain)


def descend(
    optimizer: optax.GradientTransformationExtraArgs, grads: Tree, norm: Array, opt_state: Tree, params: Tree
) -> tuple[Tree, Tree]:
    """One step of the optimiser, on gradients of that global norm: the new parameters and the new optimiser state."""
    updates, opt_state = optimizer.update(grads, opt_state, params, norm=norm)
    return optax.apply_updates(params, updates), opt_state

"""Gradient clipping, weight decay and Adam, put together from the settings."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.agent.kernel_choice import uses_kernels
from ddpg_jax.config import DDPGConfig
from ddpg_jax.kernels import leaves
from ddpg_jax.types import Array, Tree

# From a learning rate, the fraction of it that is left and the steps until then.
SCHEDULES: dict[str, Callable[[float, float, int], float | optax.Schedule]] = {
    "linear": lambda rate, fraction, steps: optax.linear_schedule(rate, rate * fraction, steps),
    "cosine": lambda rate, fraction, steps: optax.cosine_decay_schedule(rate, steps, fraction),
    "constant": lambda rate, fraction, steps: rate,
}


class Optimizer(NamedTuple):
    """What learns from a gradient.

    Attributes:
        init: `init(params) -> opt_state`.
        descend: `descend(grads, norm, opt_state, params) -> (params, opt_state)`, one step on gradients of that
            global norm.
    """

    init: Callable[[Tree], Tree]
    descend: Callable[[Tree, Array, Tree, Tree], tuple[Tree, Tree]]


class LeafOperations(NamedTuple):
    """What is done to all leaves of a tree at once.

    Attributes:
        global_norm: `global_norm(tree) -> scalar`, |x| = sqrt(sum x_i^2).
        incremental_update: `incremental_update(params, target, tau) -> target`, theta' <- tau theta + (1 - tau) theta'.
    """

    global_norm: Callable[[Tree], Array]
    incremental_update: Callable[[Tree, Tree, float], Tree]


def make_leaf_operations(config: DDPGConfig) -> LeafOperations:
    """By kernels of our own where there are some for them, or by XLA's."""
    if not uses_kernels(config):
        return LeafOperations(global_norm, optax.incremental_update)

    return LeafOperations(
        lambda tree: leaves.global_norm(tree) if leaves.fit(tree) else global_norm(tree),
        lambda params, target, tau: (
            leaves.incremental_update(params, target, tau)
            if leaves.fit(params, target)
            else optax.incremental_update(params, target, tau)
        ),
    )


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
) -> Optimizer:
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
    max_norm = config.max_grad_norm
    chain = optax.with_extra_args_support(
        optax.chain(
            optax.identity() if max_norm is None else clip_by_global_norm(max_norm),
            optax.add_decayed_weights(weight_decay) if weight_decay else optax.identity(),
            optax.adam(rate),
        )
    )

    def by_optax(grads: Tree, norm: Array, opt_state: Tree, params: Tree) -> tuple[Tree, Tree]:
        updates, opt_state = chain.update(grads, opt_state, params, norm=norm)
        return optax.apply_updates(params, updates), opt_state

    def descend(grads: Tree, norm: Array, opt_state: Tree, params: Tree) -> tuple[Tree, Tree]:
        if not leaves.fit(grads, params):
            return by_optax(grads, norm, opt_state, params)
        *clip_and_decay, (adam, schedule_state) = opt_state
        scale = 1.0 if max_norm is None else jnp.minimum(1, max_norm / norm)
        current_rate = rate(schedule_state.count) if callable(rate) else rate
        count = optax.safe_increment(adam.count)
        moments = leaves.Moments(adam.mu, adam.nu)
        params, moments = leaves.adam(grads, params, moments, scale, weight_decay, current_rate, count)
        adam = adam._replace(count=count, mu=moments.mean, nu=moments.variance)
        if callable(rate):
            schedule_state = schedule_state._replace(count=optax.safe_increment(schedule_state.count))
        return params, (*clip_and_decay, (adam, schedule_state))

    return Optimizer(chain.init, descend if uses_kernels(config) else by_optax)

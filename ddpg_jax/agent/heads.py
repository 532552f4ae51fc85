"""What the output of the critics stands for: a value, or a distribution; either is one value of one type."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.agent.categorical import cross_entropy, expectation, huber_divergence, project
from ddpg_jax.agent.losses import critic_loss, td_target, value_penalty
from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Array, Key, float_dtype

# Folded into the update's key, so that the subset's draw is not that of the smoothing noise.
SUBSET = 1


class Head(NamedTuple):
    """What critics' outputs `[K, B]`, or `[K, B, L]` of distributions, mean.

    Attributes:
        value: `value(output [...]) -> q [...]`, what is expected.
        target: `target(key, reward [B], discount [B], next_output [K, B]) -> target [B]`, what the critics shall say.
        mean: `mean(target [B]) -> y [B]`, what it expects.
        loss: `loss(output [K, B], target [B], weight [B]) -> scalar`.
    """

    value: Callable[[Array], Array]
    target: Callable[[Key, Array, Array, Array], Array]
    mean: Callable[[Array], Array]
    loss: Callable[[Array, Array, Array], Array]


def make_head(config: DDPGConfig) -> Head:
    """The head that the settings name."""
    return categorical_head(config) if config.num_atoms > 1 else scalar_head(config)


def scalar_head(config: DDPGConfig) -> Head:
    """Critics that say Q itself."""
    select = subset(config)
    reduce = {"min": lambda q: q.min(axis=0), "mean": lambda q: q.mean(axis=0)}[config.target_reduction]
    error_loss = {"squared": jnp.square, "huber": optax.huber_loss}[config.critic_loss]

    def target(key: Key, reward: Array, discount: Array, next_q: Array) -> Array:
        return td_target(reward, discount, reduce(select(key, next_q)))

    def loss(q: Array, target: Array, weight: Array) -> Array:
        return critic_loss(q, target, weight, error_loss)

    return Head(identity, target, identity, penalized(loss, identity, config.q_penalty))


def categorical_head(config: DDPGConfig) -> Head:
    """Critics that say how likely each of L values is.

    Of several critics the smallest is, row by row, the one that expects least; their mean is the mixture.

    Source: Bellemare et al. (2017); Barth-Maron et al. (2018), section 3.
    """
    select = subset(config)
    atoms = jnp.linspace(config.value_min, config.value_max, config.num_atoms, dtype=float_dtype())
    row_loss = {"squared": cross_entropy, "huber": huber_divergence}[config.critic_loss]

    def smallest(probabilities: Array) -> Array:
        least = jnp.argmin(probabilities @ atoms, axis=0)
        return jnp.take_along_axis(probabilities, least[None, :, None], axis=0)[0]

    reduce = {"min": smallest, "mean": lambda probabilities: probabilities.mean(axis=0)}[config.target_reduction]

    def target(key: Key, reward: Array, discount: Array, next_logits: Array) -> Array:
        return project(reward, discount, reduce(jax.nn.softmax(select(key, next_logits))), atoms)

    def loss(logits: Array, target: Array, weight: Array) -> Array:
        return jnp.mean(weight * row_loss(logits, target), axis=-1).sum()

    def value(logits: Array) -> Array:
        return expectation(logits, atoms)

    return Head(value, target, lambda target: target @ atoms, penalized(loss, value, config.q_penalty))


def subset(config: DDPGConfig) -> Callable[[Key, Array], Array]:
    """`(key, [K, ...]) -> [M, ...]`: M critics drawn without replacement, or all where no subset is asked for.

    Source: Chen et al. (2021), algorithm 1.
    """
    size = config.target_subset
    if size is None:
        return lambda key, outputs: outputs

    def draw(key: Key, outputs: Array) -> Array:
        return outputs[jax.random.permutation(jax.random.fold_in(key, SUBSET), config.num_critics)[:size]]

    return draw


def penalized(loss: Callable[..., Array], value: Callable[[Array], Array], coefficient: float) -> Callable[..., Array]:
    """A loss with the penalty on the values that its outputs mean; itself where the coefficient is 0."""
    if not coefficient:
        return loss
    return lambda output, target, weight: loss(output, target, weight) + value_penalty(value(output), coefficient)


def identity(x: Array) -> Array:
    """The value itself."""
    return x

"""Actor and critic networks behind a few functions, so that the rest never sees the network library."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.types import Array, Key, Tree, float_dtype

PARAMS = "params"
STATISTICS = "batch_stats"


class Network(NamedTuple):
    """A parametrised function, as functions of its variables.

    Its variables are a dict as flax keeps them: what is learned under "params", and running statistics, which
    no gradient touches, under other names.

    Attributes:
        init: `init(key) -> variables`.
        apply: `apply(variables, ...) -> array`, as it is used.
        train: `train(variables, ...) -> (array, variables)`, as it is while it learns, with its statistics updated;
            None for a network without such statistics.
    """

    init: Callable[[Key], Tree]
    apply: Callable[..., Array]
    train: Callable[..., tuple[Array, Tree]] | None = None


class Networks(NamedTuple):
    """What an agent is made of.

    Attributes:
        actor: `apply(variables, obs [B, O]) -> action [B, A]` in [-1, 1].
        critic: `apply(variables, obs [B, O], action [B, A]) -> q [B]`, one critic of the ensemble; of a
            distribution over L values, its logits `[B, L]`.
    """

    actor: Network
    critic: Network


def flax_network(module: Any, *example: Any) -> Network:
    """A flax.linen module as a `Network`.

    Args:
        module: called on the network's inputs; one with running statistics (`batch_stats`) has a parameter
            `train`, True while it learns.
        example: inputs to begin with, without the leading B, or with it.
    """
    if "train" not in inspect.signature(module.__call__).parameters:
        return Network(lambda key: module.init(key, *example), module.apply)

    def init(key: Key) -> Tree:
        variables = module.init(key, *example)
        # BatchNorm's begin in float32, whatever its dtypes, and would change theirs in 64-bit mode.
        statistics = {name: variables[name] for name in (STATISTICS,) if name in variables}
        return {**variables, **jax.tree.map(lambda leaf: leaf.astype(float_dtype()), statistics)}

    def train(variables: Tree, *inputs: Any) -> tuple[Array, Tree]:
        output, new_statistics = module.apply(variables, *inputs, train=True, mutable=[STATISTICS])
        return output, {**variables, **new_statistics}

    return Network(init, module.apply, train)


def train_apply(network: Network, variables: Tree, *inputs: Any) -> tuple[Array, Tree]:
    """`network.train`, or what stands for it in a network without statistics."""
    if network.train is None:
        return network.apply(variables, *inputs), variables
    return network.train(variables, *inputs)


def wrap(network: Network, prepare: Callable[..., tuple], finish: Callable[[Array], Array]) -> Network:
    """A network with a function before it and one after it, neither with parameters."""

    def train(variables: Tree, *inputs: Any) -> tuple[Array, Tree]:
        output, variables = train_apply(network, variables, *prepare(*inputs))
        return finish(output), variables

    return network._replace(
        apply=lambda variables, *inputs: finish(network.apply(variables, *prepare(*inputs))), train=train
    )


def ensemble(network: Network, size: int) -> Network:
    """K networks of one shape with variables of their own, stacked, and outputs `[K, ...]`."""

    def init(key: Key) -> Tree:
        return jax.vmap(network.init)(jax.random.split(key, size))

    def apply(variables: Tree, *inputs: Array) -> Array:
        # One product for each critic: a batched one runs 40 % slower on CPU (benchmarks/NOTES.md).
        return jnp.stack([network.apply(member(variables, k), *inputs) for k in range(size)])

    def train(variables: Tree, *inputs: Array) -> tuple[Array, Tree]:
        trained = [train_apply(network, member(variables, k), *inputs) for k in range(size)]
        each = [{name: leaf for name, leaf in one.items() if name != PARAMS} for _, one in trained]
        statistics = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
        return jnp.stack([output for output, _ in trained]), {**variables, **statistics}

    return Network(init, apply, train)


def member(variables: Tree, index: int) -> Tree:
    """Variables of one network of an ensemble."""
    return jax.tree.map(lambda leaf: leaf[index], variables)


def first(network: Network) -> Network:
    """The first network of an ensemble, on the variables of the whole."""
    return Network(network.init, lambda variables, *inputs: network.apply(member(variables, 0), *inputs))

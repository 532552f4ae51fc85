"""Actor and critic networks behind a few functions, so that the rest never sees the network library."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.config import ConfigError, DDPGConfig
from ddpg_jax.kernels import mlp as kernels
from ddpg_jax.native import library
from ddpg_jax.types import Array, EnvSpec, Key, Tree, float_dtype

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


def with_kernels(network: Network, config: DDPGConfig) -> Network:
    """The same network, its layers computed by kernels of our own where there are some for them."""
    plain = config.activation == "relu" and config.normalization == "none" and config.torso == "flat"
    if config.kernels == "xla" or not plain or not library.are_usable():
        return network

    def apply(variables: Tree, x: Array, images: tuple[Array, ...] = ()) -> Array:
        params = variables[PARAMS]
        layers = [kernels.Layer(**params[f"Dense_{index}"]) for index in range(len(params))]
        return kernels.mlp(x, layers) if kernels.fits(x, layers) else network.apply(variables, x, images)

    return network._replace(apply=apply, train=None)


def zeros_like(structs: Tree) -> Tree:
    """Zeros of NumPy's, which take no program to make."""
    return jax.tree.map(lambda struct: np.zeros(struct.shape, struct.dtype), structs)


def value_or_logits(config: DDPGConfig) -> Callable[[Array], Array]:
    """A critic's last layer `[B, L]` as it is, or as Q `[B]` where that is one number."""
    return (lambda output: output) if config.num_atoms > 1 else (lambda output: output.squeeze(-1))


def split_obs(obs: Tree, spec: EnvSpec, config: DDPGConfig) -> tuple[list[Array], tuple[Array, ...]]:
    """The leaves of an observation `[..., *shape]` as vectors `[..., O]`, and those that are to be seen as images."""
    vectors, images = [], []
    for leaf, struct in zip(jax.tree.leaves(obs), jax.tree.leaves(spec.obs), strict=True):
        dtype = leaf.dtype if jnp.issubdtype(leaf.dtype, jnp.floating) else float_dtype()
        if is_image(struct, config):
            images.append(leaf.astype(dtype) / 255 if leaf.dtype == jnp.uint8 else leaf.astype(dtype))
        else:
            batch_shape = leaf.shape[: leaf.ndim - len(struct.shape)]
            vectors.append(leaf.reshape(*batch_shape, -1).astype(dtype))
    return vectors, tuple(images)


def concatenate(vectors: list[Array]) -> Array | None:
    """Vectors side by side, `[..., O]`; of none, as there are where only images are seen, None."""
    return jnp.concatenate(vectors, axis=-1) if len(vectors) > 1 else next(iter(vectors), None)


def is_image(struct: jax.ShapeDtypeStruct, config: DDPGConfig) -> bool:
    """Whether a leaf of the observation goes through the convolutions."""
    return config.torso == "conv" and len(struct.shape) == 3


def check_torso(spec: EnvSpec, config: DDPGConfig) -> None:
    """Raise ConfigError if there is nothing to convolve."""
    leaves = jax.tree.leaves(spec.obs)
    if config.torso == "conv" and not any(is_image(leaf, config) for leaf in leaves):
        shapes = ", ".join(str(tuple(leaf.shape)) for leaf in leaves)
        raise ConfigError(
            "torso = 'conv' needs images [height, width, channels], and the observation has the shape "
            f"{shapes}; choose torso = 'flat'"
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

"""Networks that a user passes: what they must give, checked on shapes alone when an agent is built."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.agent.networks import PARAMS, Network, Networks, wrap
from ddpg_jax.config import ConfigError, DDPGConfig, shown
from ddpg_jax.types import EnvSpec, Tree, float_dtype


def check_networks(networks: Networks, spec: EnvSpec, config: DDPGConfig) -> Networks:
    """Return networks whose variables and outputs have the form that is asked for, outputs in `float_dtype()`.

    Args:
        networks: an actor and one critic.
        spec: the environment's spaces.
        config: whether a critic gives a value or a distribution.

    Raises:
        ConfigError: with what a network gives, what it must give, and what to do.
    """
    size, rows = spec.action_dim, batch_size(spec, config)
    obs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape), jax.dtypes.canonicalize_dtype(leaf.dtype)), spec.obs
    )
    action = jax.ShapeDtypeStruct((rows, size), float_dtype())
    atoms = (config.num_atoms,) if config.num_atoms > 1 else ()
    return Networks(
        check_network("actor", networks.actor, (obs,), (rows, size), f"an action of {size} numbers for each of B rows"),
        check_network("critic", networks.critic, (obs, action), (rows, *atoms), critic_remedy(config)),
    )


def batch_size(spec: EnvSpec, config: DDPGConfig) -> int:
    """Rows B of the batch that networks are tried on: no other axis has this size."""
    sizes = {1, spec.action_dim, config.num_atoms}.union(*(leaf.shape for leaf in jax.tree.leaves(spec.obs)))
    return next(size for size in range(2, len(sizes) + 3) if size not in sizes)


def critic_remedy(config: DDPGConfig) -> str:
    """What a critic must give, in words."""
    if config.num_atoms > 1:
        return f"num_atoms = {config.num_atoms} logits for each of B rows; num_atoms = 1 is for a critic that gives Q"
    return "one Q for each of B rows: squeeze(-1) an axis of size 1, or set num_atoms to its size for a distribution"


def check_network(name: str, network: Network, inputs: tuple, shape: tuple[int, ...], remedy: str) -> Network:
    """One network, if what it gives for inputs `[B, ...]` has the shape."""
    variables = jax.eval_shape(network.init, jax.random.key(0))
    if not isinstance(variables, Mapping) or PARAMS not in variables:
        raise ConfigError(
            f"the {name} network's init gives a {type(variables).__name__}, which must be a dict with what is "
            f"learned under {PARAMS!r}: return {{{PARAMS!r}: ...}}, and read it in apply"
        )
    check_output(
        f"the {name} network's apply", trace(name, "apply", network.apply, variables, inputs, shape[0]), shape, remedy
    )
    if network.train is not None:
        result = trace(name, "train", network.train, variables, inputs, shape[0])
        check_trained(name, result, variables)
        check_output(f"the {name} network's train", result[0], shape, remedy)
    return wrap(network, lambda *given: given, lambda output: output.astype(float_dtype()))


def trace(name: str, method: str, function: Any, variables: Tree, inputs: tuple, rows: int) -> Any:
    """The form of what a function of a network gives for inputs of so many rows.

    Raises:
        ConfigError: if it fails.
    """
    try:
        return jax.eval_shape(function, variables, *inputs)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        given = " and ".join(describe(part, rows) for part in inputs)
        raise ConfigError(f"the {name} network's {method} fails on {given}: {reason}") from error


def check_output(what: str, output: Any, shape: tuple[int, ...], remedy: str) -> None:
    """Raise ConfigError if an output is no array of floats of this shape."""
    fits = isinstance(output, jax.ShapeDtypeStruct) and output.shape == shape
    if not fits or not jnp.issubdtype(output.dtype, jnp.floating):
        expected = jax.ShapeDtypeStruct(shape, float_dtype())
        raise ConfigError(
            f"{what} gives {describe(output, shape[0])}, and must give {describe(expected, shape[0])}, {remedy}"
        )


def check_trained(name: str, result: Any, variables: Tree) -> None:
    """Raise ConfigError if `train` does not give an output and variables of the form that it was given."""
    problem = f"the {name} network's train must give (output, variables), "
    if not isinstance(result, tuple) or len(result) != 2:
        raise ConfigError(f"{problem}and gives a {type(result).__name__}; leave it out without running statistics")
    before, after = (jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), dict(tree)) for tree in (variables, result[1]))
    if before != after:
        raise ConfigError(
            f"{problem}the variables in the structure, shapes and dtypes of init, {shown(before)}, not {shown(after)}"
        )


def describe(tree: Any, rows: int) -> str:
    """Arrays in words, `float32[B, 3]`, where B is the number of rows."""

    def describe_leaf(leaf: Any) -> str:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return type(leaf).__name__
        sizes = ", ".join("B" if size == rows else str(size) for size in leaf.shape)
        return f"{leaf.dtype.name}[{sizes}]"

    named = jax.tree.map(describe_leaf, tree)
    return named if isinstance(named, str) else str(named)

"""A policy as a row of layers, from which every format that knows no JAX is written."""

import math
from typing import NamedTuple

import jax
import numpy as np

from ddpg_jax.agent.normalization import CLIP, Moments, stddev
from ddpg_jax.config import ConfigError, DDPGConfig
from ddpg_jax.runs.export.observations import leaf_moments
from ddpg_jax.runs.export.spaces import inner_bounds
from ddpg_jax.runs.policy import Policy
from ddpg_jax.types import EnvSpec, Tree


class Layer(NamedTuple):
    """One step on the way from observations as vectors `[B, O]` to actions `[B, A]`.

    Attributes:
        kind: one of `load_policy.LAYERS`, which says what each does.
        arrays: what it needs beside its input, in the order in which it takes them.
    """

    kind: str
    arrays: dict[str, np.ndarray]


def policy_layers(policy: Policy, config: DDPGConfig) -> tuple[Layer, ...]:
    """The whole way, from raw observations to the environment's own actions.

    Args:
        policy: whose actor is the MLP that the settings describe.
        config: the settings.

    Raises:
        ConfigError: if the actor is another network.
    """
    scale = obs_scale(policy.params, policy.spec.obs)
    known = scale, *mlp_layers(policy.params, config), Layer("tanh", {}), action_scale(policy.spec)
    return tuple(layer for layer in known if layer)


def obs_scale(variables: Tree, spec_obs: Tree) -> Layer | None:
    """Observations by their running mean and standard deviation, as `agent.normalization` brings them to scale.

    Args:
        variables: of the actor.
        spec_obs: the leaves, which are joined in this order.
    """
    moments = leaf_moments(variables, spec_obs)
    if not any(moments):
        return None
    parts = [leaf_scale(*pair) for pair in zip(moments, jax.tree.leaves(spec_obs), strict=True)]
    return Layer("standardize", {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def leaf_scale(moments: Moments | None, leaf: jax.ShapeDtypeStruct) -> dict[str, np.ndarray]:
    """The arrays of a "standardize" for one leaf; without moments, it leaves the leaf as it is."""
    size = math.prod(leaf.shape)
    mean, rest, deviation, clip = np.zeros(size), np.zeros(size), np.ones(size), np.inf
    if moments is not None:
        known = moments.mean, moments.mean_rest, stddev(moments, leaf.dtype)
        mean, rest, deviation, clip = *(np.asarray(array).ravel() for array in known), CLIP
    limits = {"low": np.full(size, -clip), "high": np.full(size, clip)}
    return {"mean": mean, "rest": rest, "stddev": deviation, **limits}


def mlp_layers(variables: Tree, config: DDPGConfig) -> list[Layer]:
    """The layers of an MLP, as `agent.mlp.MLP` applies them; BatchNorm's running statistics are folded into them.

    Raises:
        ConfigError: if the parameters are those of another network.
    """
    # flax imports rich and more; whoever has parameters has it already.
    from flax.linen import LayerNorm

    depth, found = len(config.hidden_sizes), variables["params"]
    norm = {"layer": "LayerNorm", "batch": "BatchNorm"}.get(config.normalization)
    names = [f"Dense_{index}" for index in range(depth + 1)]
    names += [f"{norm}_{index}" for index in range(depth) if norm]
    if not isinstance(found, dict) or set(found) != set(names):
        raise ConfigError(
            "the actor is no MLP as the settings describe it; convolutions and networks of your own go out as "
            "StableHLO only: choose the format stablehlo"
        )

    def arrays(module: str, *fields: str) -> dict[str, np.ndarray]:
        return {field: np.asarray(found[module][field]) for field in fields}

    layers = []
    for index in range(depth):
        layers.append(Layer("affine", arrays(f"Dense_{index}", "kernel", "bias")))
        if config.normalization == "layer":
            epsilon = {"epsilon": np.asarray(LayerNorm.epsilon)}
            layers.append(Layer("layer_norm", arrays(f"LayerNorm_{index}", "scale", "bias") | epsilon))
        if config.normalization == "batch":
            layers[-1] = fold_batch_norm(layers[-1], variables, f"BatchNorm_{index}")
        layers.append(Layer(config.activation, {}))
    return [*layers, Layer("affine", arrays(f"Dense_{depth}", "kernel", "bias"))]


def fold_batch_norm(affine: Layer, variables: Tree, name: str) -> Layer:
    """An affine layer and the BatchNorm after it, as it is where nothing is learned, in one affine layer."""
    from flax.linen import BatchNorm

    learned, statistics = variables["params"][name], variables["batch_stats"][name]
    scale = np.asarray(learned["scale"]) / np.sqrt(np.asarray(statistics["var"], float) + BatchNorm.epsilon)
    kernel = affine.arrays["kernel"] * scale
    bias = (affine.arrays["bias"] - np.asarray(statistics["mean"])) * scale + np.asarray(learned["bias"])
    return Layer("affine", {"kernel": kernel, "bias": bias})


def action_scale(spec: EnvSpec) -> Layer:
    """From [-1, 1] to the bounds of each action dimension, as `scale_action` maps it."""
    low, high = inner_bounds(spec)
    return Layer("scale", {"scale": spec.action_scale, "bias": spec.action_bias, "low": low, "high": high})

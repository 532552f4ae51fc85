"""A policy as a row of layers, from which every format that knows no JAX is written."""

from typing import NamedTuple

import numpy as np

from ddpg_jax.config import ConfigError, DDPGConfig
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

    What is done to observations before the network sees them is a layer, too: a "scale" at the front.

    Args:
        policy: whose actor is the MLP that the settings describe.
        config: the settings.

    Raises:
        ConfigError: if the actor is another network.
    """
    return (*mlp_layers(policy.params, config), Layer("tanh", {}), action_scale(policy.spec))


def mlp_layers(params: Tree, config: DDPGConfig) -> list[Layer]:
    """The layers of an MLP, as `agent.mlp.MLP` applies them.

    Raises:
        ConfigError: if the parameters are those of another network.
    """
    # flax imports rich and more; whoever has parameters has it already.
    from flax.linen import LayerNorm

    depth, normalized = len(config.hidden_sizes), config.normalization == "layer"
    found = params.get("params") if isinstance(params, dict) else None
    names = [f"Dense_{index}" for index in range(depth + 1)]
    names += [f"LayerNorm_{index}" for index in range(depth) if normalized]
    if not isinstance(found, dict) or set(found) != set(names):
        raise ConfigError(
            "the actor is no MLP as the settings describe it; a network of your own goes out as StableHLO only: "
            "choose the format stablehlo"
        )

    def arrays(module: str, *fields: str) -> dict[str, np.ndarray]:
        return {field: np.asarray(found[module][field]) for field in fields}

    layers = []
    for index in range(depth):
        layers.append(Layer("affine", arrays(f"Dense_{index}", "kernel", "bias")))
        if normalized:
            epsilon = {"epsilon": np.asarray(LayerNorm.epsilon)}
            layers.append(Layer("layer_norm", arrays(f"LayerNorm_{index}", "scale", "bias") | epsilon))
        layers.append(Layer(config.activation, {}))
    return [*layers, Layer("affine", arrays(f"Dense_{depth}", "kernel", "bias"))]


def action_scale(spec: EnvSpec) -> Layer:
    """From [-1, 1] to the bounds of each action dimension, as `scale_action` maps it."""
    low, high = inner_bounds(spec)
    scale, bias = (spec.action_high - spec.action_low) / 2, (spec.action_high + spec.action_low) / 2
    return Layer("scale", {"scale": scale, "bias": bias, "low": low, "high": high})

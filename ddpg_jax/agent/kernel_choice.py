"""Whether this package's kernels compute, or XLA's: for layers, and for Adam, norms and targets (optimizer.py).

Which machines have kernels is said by `ddpg_jax.native.library`, and which layers they fit by `ddpg_jax.kernels.mlp`.
"""

from ddpg_jax.agent.networks import PARAMS, Network
from ddpg_jax.config import DDPGConfig
from ddpg_jax.kernels import mlp as kernels
from ddpg_jax.native import library
from ddpg_jax.types import Array, Tree


def uses_kernels(config: DDPGConfig) -> bool:
    """Whether this package's kernels are asked for and there."""
    return config.kernels == "auto" and library.are_usable()


def are_plain(config: DDPGConfig) -> bool:
    """Whether the layers of these networks are of the kind that there are kernels for."""
    return config.activation == "relu" and config.normalization == "none" and config.torso == "flat"


def with_kernels(network: Network, config: DDPGConfig) -> Network:
    """The same network, its layers computed by kernels of our own where there are some for them."""
    if not (uses_kernels(config) and are_plain(config)):
        return network

    def apply(variables: Tree, x: Array, images: tuple[Array, ...] = ()) -> Array:
        params = variables[PARAMS]
        layers = [kernels.Layer(**params[f"Dense_{index}"]) for index in range(len(params))]
        return kernels.mlp(x, layers) if kernels.fits(x, layers) else network.apply(variables, x, images)

    return network._replace(apply=apply, train=None)

"""What networks see of an observation: its vectors side by side in one, and its images.

A Dict of observations stays a tree up to here.
"""

import jax
import jax.numpy as jnp

from ddpg_jax.config import ConfigError, DDPGConfig
from ddpg_jax.types import Array, EnvSpec, Tree, float_dtype


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

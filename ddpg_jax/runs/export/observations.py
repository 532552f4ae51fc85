"""Random observations, on which what was written is compared with the agent."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.agent.normalization import OBS, Moments, stddev
from ddpg_jax.runs.export.spaces import Spaces
from ddpg_jax.types import Tree

# A dimension whose bounds lie further apart is drawn as one without: nothing ever comes near them.
WIDE = 2**16


def leaf_moments(variables: Tree, spec_obs: Tree) -> list[Moments | None]:
    """What an actor keeps of each leaf of the observations, in their order; None of a leaf that it takes as it is."""
    known = iter(variables.get(OBS, ()))
    leaves = jax.tree.leaves(spec_obs)
    return [next(known, None) if jnp.issubdtype(leaf.dtype, jnp.floating) else None for leaf in leaves]


def draw_seen(rng: np.random.Generator, variables: Tree, spaces: Spaces, count: int) -> Tree:
    """Random observations; of a leaf whose moments the actor keeps, within a standard deviation of the mean.

    Far from what it has seen, a trained network's numbers grow so large that the agent's own rounding is above 1e-5.

    Args:
        rng: draws them.
        variables: of the actor.
        spaces: of its environment.
        count: how many.
    """
    drawn, structure = jax.tree.flatten(draw_observations(rng, spaces, count))
    moments = leaf_moments(variables, spaces.spec.obs)
    rows = zip(drawn, moments, jax.tree.leaves(spaces.obs_low), jax.tree.leaves(spaces.obs_high), strict=True)
    return jax.tree.unflatten(
        structure,
        [leaf if known is None else draw_near(rng, known, low, high, leaf) for leaf, known, low, high in rows],
    )


def draw_near(
    rng: np.random.Generator, moments: Moments, low: np.ndarray, high: np.ndarray, like: np.ndarray
) -> np.ndarray:
    """Random numbers within a standard deviation of the mean, and the bounds, of the shape and dtype of others."""
    mean, deviation = np.asarray(moments.mean, float), np.asarray(stddev(moments), float)
    return (mean + deviation * rng.uniform(-1, 1, like.shape)).clip(low, high).astype(like.dtype)


def draw_observations(rng: np.random.Generator, spaces: Spaces, count: int) -> Tree:
    """Random observations, `[count, *shape]` in each leaf, in the environment's own dtypes."""
    draw = functools.partial(draw_leaf, rng, count)
    return jax.tree.map(draw, spaces.obs_dtype, spaces.obs_low, spaces.obs_high)


def draw_leaf(rng: np.random.Generator, count: int, dtype: np.dtype, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Random numbers `[count, *shape]`: uniform between the bounds, standard normal where there are none."""
    shape, low, high = (count, *low.shape), low.astype(float), high.astype(float)
    with np.errstate(over="ignore"):
        bounded = high - low <= WIDE
    uniform = rng.uniform(np.where(bounded, low, 0), np.where(bounded, high, 0), shape)
    drawn = np.where(bounded, uniform, rng.standard_normal(shape)).clip(low, high)
    return (drawn if np.issubdtype(dtype, np.floating) else np.rint(drawn)).astype(dtype)

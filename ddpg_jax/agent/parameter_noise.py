"""Exploration by noise on the actor's parameters, whose scale adapts itself.

Within an episode the same observation meets the same action, which independent noise never gives.
"""

import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.acting import Act, Exploration
from ddpg_jax.agent.noise_scale import Scale, Schedule, as_scale
from ddpg_jax.config import ConfigError
from ddpg_jax.types import Array, Key, Tree, float_dtype

# Factor of sigma for each so many steps of an episode (Plappert et al., 2018, section 3; so many as in OpenAI's
# Baselines, so that a long episode counts as much as several short ones).
ADAPTATION, ADAPTATION_STEPS = 1.01, 50
# How flax names the layers that normalise: LayerNorm_0, BatchNorm_1.
NORMALIZATION = re.compile(r"Norm(_\d+)?$")
# Counts of actions stay far below it, so that noise drawn from the very same key shares no random bits with ours.
STREAM = 2**31 - 1


class ParameterNoiseState(NamedTuple):
    """State of parameter noise; each environment has an actor of its own.

    Attributes:
        perturbed: the actors' learned parameters, leaves `[N, ...]`.
        sigma: standard deviation of the noise on the parameters, `[N]`.
        squared_distance: sum over the running episode of the mean squared difference to the policy's action, `[N]`.
        steps: steps in that sum, int32 `[N]`; 0 before the first step alone.
        distance: what sigma aims at in the running episode, `[N]`.
        scale: state of the scale that gives this distance.
    """

    perturbed: Tree
    sigma: Array
    squared_distance: Array
    steps: Array
    distance: Array
    scale: Tree


def parameter_noise(policy: Act, distance: float | Schedule | Scale) -> Exploration:
    """A policy whose parameters are perturbed anew for each episode: a = mu_(theta + sigma N(0, 1))(s).

    After each episode sigma changes so that the actions depart from the policy's by about `distance`:

    d = sqrt(mean (mu(s) - mu_perturbed(s))^2);  sigma <- f sigma if d < distance else sigma / f

    with f = 1.01^(T / 50) after an episode of T steps. Where `distance` decays, sigma falls with it from one episode to
    the next: sigma <- sigma distance_new / distance.

    Each environment has its own perturbed actor, frozen within an episode, and its own sigma, at first `distance`.
    Normalisation layers are not perturbed, and statistics are always those of the policy.

    Args:
        policy: `policy(actor_params, obs) -> action`, where `actor_params` is a dict as flax makes it, with the
            learned parameters under "params".
        distance: wanted root mean square of the difference, in units of half the action range, a schedule of it over
            environment steps, or a `Scale`.

    Raises:
        ConfigError: by `init`, for parameters that are no such dict.

    Source: Plappert et al. (2018), section 3.
    """
    scale = as_scale(distance)
    return Exploration(functools.partial(init, scale), functools.partial(act, policy, scale))


def init(scale: Scale, key: Key, params: Tree, num_envs: int) -> ParameterNoiseState:
    """Actors that are not yet perturbed, and sigma at the first distance."""
    actors = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], num_envs, axis=0), learned_params(params))
    scale_state = scale.init(num_envs)
    zero, target = jnp.zeros(num_envs, float_dtype()), scale.now(scale_state, jnp.zeros(num_envs, bool))[0]
    sigma = per_env(target, zero)
    return ParameterNoiseState(
        actors, sigma, zero, jnp.zeros(num_envs, jnp.int32), distance=jnp.copy(sigma), scale=scale_state
    )


def act(
    policy: Act, scale: Scale, key: Key, state: ParameterNoiseState, params: Tree, obs: Tree, first: Array
) -> tuple[Array, ParameterNoiseState]:
    """Actions of the perturbed actors, `[N, A]`; where an episode starts, sigma is adapted and the noise redrawn."""
    starts = first | (state.steps == 0)
    target, scale_state = scale.now(state.scale, first)
    target = jnp.where(starts, per_env(target, state.sigma), state.distance)
    sigma = jnp.where(first & (state.steps > 0), adapted_sigma(state), state.sigma)
    sigma = jnp.where(starts & (state.distance != target), rescaled_sigma(sigma, state.distance, target), sigma)
    # Most steps start no episode, and draw nothing.
    perturbed = jax.lax.cond(
        starts.any(),
        lambda: perturb(jax.random.fold_in(key, STREAM), state.perturbed, learned_params(params), sigma, starts),
        lambda: state.perturbed,
    )
    action = act_each(policy, perturbed, params, obs)
    squared = jnp.mean((policy(params, obs) - action) ** 2, axis=-1)
    return action, ParameterNoiseState(
        perturbed,
        sigma,
        squared_distance=jnp.where(starts, 0, state.squared_distance) + squared,
        steps=jnp.where(starts, 0, state.steps) + 1,
        distance=target,
        scale=scale_state,
    )


def learned_params(params: Tree) -> Tree:
    """The learned parameters among the collections of a flax module."""
    if not isinstance(params, dict) or "params" not in params:
        raise ConfigError(
            'parameter noise needs an actor whose parameters are a dict with the learned ones under "params", '
            f"as flax gives them, not {jax.tree.structure(params)}; bring them into that form in the network's init"
        )
    return params["params"]


def per_env(value: Array | float, like: Array) -> Array:
    """A scale's sigma, a number or `[N, 1]`, as one number for each environment, `[N]`."""
    return jnp.broadcast_to(jnp.asarray(value, like.dtype).reshape(-1), like.shape)


def rescaled_sigma(sigma: Array, old_distance: Array, distance: Array) -> Array:
    """Sigma in proportion to a distance that changes, `[N]`; where that was 0, the new distance itself."""
    return jnp.where(old_distance > 0, sigma * distance / jnp.where(old_distance > 0, old_distance, 1), distance)


def adapted_sigma(state: ParameterNoiseState) -> Array:
    """What sigma becomes where the episode is over, `[N]`."""
    near = state.squared_distance < state.distance**2 * state.steps
    return state.sigma * ADAPTATION ** (jnp.where(near, state.steps, -state.steps) / ADAPTATION_STEPS)


def perturb(key: Key, perturbed: Tree, params: Tree, sigma: Array, starts: Array) -> Tree:
    """Fresh noise on the parameters where an episode starts, the perturbed ones as they are elsewhere, `[N, ...]`."""

    def perturb_leaf(path: tuple, key: Key, old: Array, leaf: Array) -> Array:
        shape = (-1, *[1] * leaf.ndim)
        scale = sigma.astype(leaf.dtype).reshape(shape) * is_perturbed(path)
        fresh = leaf + scale * jax.random.normal(key, old.shape, leaf.dtype)
        return jnp.where(starts.reshape(shape), fresh, old)

    keys = jax.tree.unflatten(jax.tree.structure(params), jax.random.split(key, len(jax.tree.leaves(params))))
    return jax.tree.map_with_path(perturb_leaf, keys, perturbed, params)


def is_perturbed(path: tuple) -> bool:
    """Whether a leaf is in no layer that normalises."""
    return not any(NORMALIZATION.search(jax.tree_util.keystr((entry,), simple=True)) for entry in path)


def act_each(policy: Act, perturbed: Tree, params: Tree, obs: Tree) -> Array:
    """Each environment's action `[N, A]` by its own parameters, everything else of the actor being shared."""

    def act(own: Tree, obs: Tree) -> Array:
        return policy({**params, "params": own}, jax.tree.map(lambda leaf: leaf[None], obs))[0]

    return jax.vmap(act)(perturbed, obs)

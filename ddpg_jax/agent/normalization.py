"""Running statistics of observations and returns, as they come; they lie beside the parameters of the networks.

So they go wherever a policy goes, into checkpoints and evaluations, and move only where experience is observed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.networks import Network, train_apply
from ddpg_jax.types import Array, Key, Transition, Tree, float_dtype

OBS, REWARD = "obs_statistics", "reward_statistics"
CLIP, SMALL = 10.0, 1e-8


class Moments(NamedTuple):
    """What is known of the numbers seen so far, each element by itself.

    Attributes:
        number: how many, float scalar.
        mean: their mean.
        deviations: sum of their squared deviations from it.
    """

    number: Array
    mean: Array
    deviations: Array


class RewardStatistics(NamedTuple):
    """What rewards are divided by, and what that is found from.

    Attributes:
        returns: discounted return of each running episode so far, `[N]`.
        moments: of these returns.
    """

    returns: Array
    moments: Moments


class Normalization(NamedTuple):
    """A way to bring observations or rewards to a scale of their own.

    Attributes:
        actor: `actor(network) -> network`, on variables that hold the statistics.
        critic: the same for critics.
        observe: `observe(variables, Transition [N, ...]) -> variables`, with the statistics moved on.
        reward: `reward(critic_variables, reward [B]) -> reward [B]`, as the critics learn it.
        value: `value(critic_variables, q) -> q`, from the critics' unit back to the environment's.
    """

    actor: Callable[[Network], Network]
    critic: Callable[[Network], Network]
    observe: Callable[[Tree, Transition], Tree]
    reward: Callable[[Tree, Array], Array]
    value: Callable[[Tree, Array], Array]


def no_moments(like: Tree) -> Moments:
    """Moments of nothing yet, of leaves of these shapes."""
    dtype = float_dtype()
    zeros = jnp.zeros(like.shape, dtype)
    return Moments(jnp.zeros((), dtype), zeros, zeros)


def merge(moments: Moments, values: Array) -> Moments:
    """Moments of what was known and N more.

    m <- m + delta N / n;  S <- S + S_new + delta^2 (n - N) N / n,  with delta = mean(new) - m and n the new count

    Args:
        moments: of elements of some shape.
        values: `[N, *shape]`.

    Source: Chan, Golub and LeVeque (1979), equation 2.1.
    """
    values = values.astype(moments.mean.dtype)
    num, mean = values.shape[0], values.mean(axis=0)
    count = moments.number + num
    delta = mean - moments.mean
    new = jnp.square(values - mean).sum(axis=0)
    return Moments(
        count,
        moments.mean + delta * num / count,
        moments.deviations + new + jnp.square(delta) * moments.number * num / count,
    )


def stddev(moments: Moments) -> Array:
    """Standard deviation of what was seen; 1 before there are two numbers that differ."""
    variance = moments.deviations / jnp.maximum(moments.number, 1)
    return jnp.where(variance > SMALL, jnp.sqrt(jnp.maximum(variance, SMALL)), 1)


def standardize(moments: Moments, values: Array) -> Array:
    """(x - mean) / stddev, within [-10, 10].

    Args:
        moments: of elements of some shape.
        values: `[..., *shape]`.
    """
    return jnp.clip((values - moments.mean) / stddev(moments), -CLIP, CLIP)


def no_normalization() -> Normalization:
    """Observations and rewards as they are."""
    return Normalization(
        actor=lambda network: network,
        critic=lambda network: network,
        observe=lambda variables, transition: variables,
        reward=lambda variables, reward: reward,
        value=lambda variables, q: q,
    )


def obs_normalization(spec_obs: Tree) -> Normalization:
    """Observations by their running mean and standard deviation; integers, as images have them, as they are.

    Source: Andrychowicz et al. (2017), appendix A, for one.
    """
    leaves: list[Any]
    structure: Any
    leaves, structure = jax.tree.flatten(spec_obs)
    scaled = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def begin() -> list[Moments]:
        return [no_moments(leaf) for leaf, chosen in zip(leaves, scaled, strict=True) if chosen]

    def standardized(moments: list[Moments], obs: Tree) -> Tree:
        known = iter(moments)
        found = zip(structure.flatten_up_to(obs), scaled, strict=True)
        return structure.unflatten([standardize(next(known), leaf) if chosen else leaf for leaf, chosen in found])

    def prepared(network: Network) -> Network:
        return beside(network, OBS, begin, lambda moments, obs, *action: (standardized(moments, obs), *action))

    def observe(variables: Tree, transition: Transition) -> Tree:
        seen = zip(structure.flatten_up_to(transition.obs), scaled, strict=True)
        chosen = [leaf for leaf, is_chosen in seen if is_chosen]
        return {**variables, OBS: [merge(*pair) for pair in zip(variables[OBS], chosen, strict=True)]}

    return no_normalization()._replace(actor=prepared, critic=prepared, observe=observe)


def reward_normalization(num_envs: int, discount: float) -> Normalization:
    """Rewards by the running standard deviation of the discounted return.

    G <- r + gamma G, anew in each episode;  r' = clip(r / stddev(G), -10, 10)

    Args:
        num_envs: environments N whose rewards are observed.
        discount: gamma.

    Source: Engstrom et al. (2020), section 3, algorithm 1 (their G does not start anew).
    """

    def begin() -> RewardStatistics:
        returns = jnp.zeros(num_envs, float_dtype())
        return RewardStatistics(returns, no_moments(returns[0]))

    def observe(variables: Tree, transition: Transition) -> Tree:
        # The actor has no rewards to scale.
        if REWARD not in variables:
            return variables
        returns, moments = variables[REWARD]
        returns = transition.reward + discount * returns
        ended = transition.terminated | transition.truncated
        statistics = RewardStatistics(jnp.where(ended, 0, returns), merge(moments, returns))
        return {**variables, REWARD: statistics}

    return no_normalization()._replace(
        critic=lambda network: beside(network, REWARD, begin, lambda statistics, *inputs: inputs),
        observe=observe,
        reward=lambda variables, reward: jnp.clip(reward / stddev(variables[REWARD].moments), -CLIP, CLIP),
        value=lambda variables, q: q * stddev(variables[REWARD].moments),
    )


def beside(network: Network, name: str, begin: Callable[[], Tree], prepare: Callable[..., tuple]) -> Network:
    """A network with statistics beside its variables, and its inputs prepared by them."""

    def own(variables: Tree) -> Tree:
        return {key: value for key, value in variables.items() if key != name}

    def train(variables: Tree, *inputs: Tree) -> tuple[Array, Tree]:
        output, moved = train_apply(network, own(variables), *prepare(variables[name], *inputs))
        return output, {**variables, **moved}

    def init(key: Key) -> Tree:
        return {**network.init(key), name: begin()}

    return Network(
        init, lambda variables, *inputs: network.apply(own(variables), *prepare(variables[name], *inputs)), train
    )


def both(one: Normalization, other: Normalization) -> Normalization:
    """Two ways at once, of which each leaves alone what the other does."""
    return Normalization(
        actor=lambda network: other.actor(one.actor(network)),
        critic=lambda network: other.critic(one.critic(network)),
        observe=lambda variables, transition: other.observe(one.observe(variables, transition), transition),
        reward=lambda variables, reward: other.reward(variables, one.reward(variables, reward)),
        value=lambda variables, q: one.value(variables, other.value(variables, q)),
    )

"""Running statistics of observations and returns, as they come; they lie beside the parameters of the networks.

So they go wherever a policy goes, into checkpoints and evaluations, and move only where experience is observed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.agent.networks import Network, train_apply
from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Array, EnvSpec, Key, Transition, Tree, float_dtype

OBS, REWARD = "obs_statistics", "reward_statistics"
CLIP = 10.0
# What varies by less, in units of the last place of its mean, is constant but for rounding.
ROUNDING = 4


class Moments(NamedTuple):
    """What is known of the numbers seen so far, each element by itself.

    In float32, a mean far from zero and a deviation after millions of numbers would move no more: each step is smaller
    than their last place. So both are sums of two floats.

    Attributes:
        number: how many, uint32 scalar; a run has fewer than 2^32 steps.
        mean: their mean.
        deviation: their standard deviation.
        mean_rest: what the mean is more than its nearest float.
        deviation_rest: the same of the standard deviation.

    Source: Dekker (1971), on sums of two floats.
    """

    number: Array
    mean: Array
    deviation: Array
    mean_rest: Array
    deviation_rest: Array


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
        observe: `observe(critic_variables, Transition [N, ...]) -> statistics`, updated by a step, a dict of those
            that lie beside the parameters.
        reward: `reward(critic_variables, reward [B]) -> reward [B]`, as the critics learn it.
        limit: `limit(critic_variables) -> scalar`, how large a reward of one step may be, in the environment's unit;
            None where it may be of any size.
        value: `value(critic_variables, q) -> q`, from the critics' unit back to the environment's.
    """

    actor: Callable[[Network], Network]
    critic: Callable[[Network], Network]
    observe: Callable[[Tree, Transition], dict[str, Tree]]
    reward: Callable[[Tree, Array], Array]
    limit: Callable[[Tree], Array | None]
    value: Callable[[Tree, Array], Array]


def init_moments(like: Tree) -> Moments:
    """Moments of nothing yet, of leaves of these shapes."""
    # An array for each: a state whose arrays are used twice cannot be donated.
    return Moments(jnp.uint32(0), *[jnp.zeros(like.shape, float_dtype()) for _ in range(4)])


def merge(moments: Moments, values: Array) -> Moments:
    """Moments of what was known and N more.

    m <- m + delta N / n;  s^2 <- s^2 + (s_new^2 + delta^2 (n - N) / n - s^2) N / n

    with delta = mean(new) - m and n the new count.

    Args:
        moments: of elements of some shape.
        values: `[N, *shape]`.

    Source: Chan, Golub and LeVeque (1979), equation 2.1.
    """
    values, old_deviation = values.astype(moments.mean.dtype), moments.deviation
    number = moments.number + jnp.uint32(values.shape[0])
    share = values.shape[0] / number.astype(values.dtype)
    # Differences first: where the mean is many deviations, sums of the values themselves lose them.
    first = values[0]
    start = moments._replace(mean=jnp.where(moments.number > 0, moments.mean, first))
    mean = (values - first).mean(axis=0)
    apart, delta = values - first - mean, distance(start, first) + mean
    # In units of the largest, no square is too large for the dtype, nor one that matters too small.
    largest = jnp.maximum(jnp.maximum(jnp.abs(delta), jnp.abs(apart).max(axis=0)), old_deviation)
    unit = jnp.where(largest > 0, largest, 1)
    new, between, old = (
        jnp.square(apart / unit).mean(axis=0),
        jnp.square(delta / unit),
        jnp.square(old_deviation / unit),
    )
    growth = share * (new + between * (1 - share) - old)
    # s' - s = (s'^2 - s^2) / (s' + s)
    both_deviations = old_deviation / unit + jnp.sqrt(jnp.maximum(old + growth, 0))
    grown = unit * growth / jnp.where(both_deviations > 0, both_deviations, 1)
    mean, mean_rest = add(start.mean, moments.mean_rest, delta * share)
    deviation, deviation_rest = add(old_deviation, moments.deviation_rest, grown)
    return Moments(number, mean, deviation, mean_rest, deviation_rest)


def add(total: Array, rest: Array, term: Array) -> tuple[Array, Array]:
    """A sum of two floats and one more: the nearest float, and what the sum is more than it.

    Source: Knuth (1969), theorem B in section 4.2.2; Dekker (1971).
    """
    rounded = total + term
    added = rounded - total
    rest = rest + ((total - (rounded - added)) + (term - added))
    nearest = rounded + rest
    return nearest, rest - (nearest - rounded)


def distance(moments: Moments, values: Array) -> Array:
    """Values less the mean."""
    return (values - moments.mean) - moments.mean_rest


def stddev(moments: Moments, dtype: Any = None) -> Array:
    """Standard deviation of what was seen; 1 where nothing varied but by rounding.

    Args:
        moments: of elements of some shape.
        dtype: in which they were rounded; by default that of the moments.
    """
    rounding = ROUNDING * jnp.finfo(dtype or moments.mean.dtype).eps * jnp.abs(moments.mean)
    return jnp.where(moments.deviation > rounding, moments.deviation, 1)


def standardize(moments: Moments, values: Array) -> Array:
    """(x - mean) / stddev, within [-10, 10].

    Args:
        moments: of elements of some shape.
        values: `[..., *shape]`.
    """
    return jnp.clip(distance(moments, values) / stddev(moments, values.dtype), -CLIP, CLIP)


def identity_normalization() -> Normalization:
    """Observations and rewards as they are."""
    return Normalization(
        actor=lambda network: network,
        critic=lambda network: network,
        observe=lambda variables, transition: {},
        reward=lambda variables, reward: reward,
        limit=lambda variables: None,
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

    def init() -> list[Moments]:
        return [init_moments(leaf) for leaf, chosen in zip(leaves, scaled, strict=True) if chosen]

    def standardized(moments: list[Moments], obs: Tree) -> Tree:
        known = iter(moments)
        pairs = zip(structure.flatten_up_to(obs), scaled, strict=True)
        return structure.unflatten([standardize(next(known), leaf) if chosen else leaf for leaf, chosen in pairs])

    def prepared(network: Network) -> Network:
        return with_statistics(network, OBS, init, lambda moments, obs, *action: (standardized(moments, obs), *action))

    def observe(variables: Tree, transition: Transition) -> dict[str, Tree]:
        seen = zip(structure.flatten_up_to(transition.obs), scaled, strict=True)
        chosen = [leaf for leaf, is_chosen in seen if is_chosen]
        return {OBS: [merge(*pair) for pair in zip(variables[OBS], chosen, strict=True)]}

    return identity_normalization()._replace(actor=prepared, critic=prepared, observe=observe)


def reward_normalization(num_envs: int, discount: float) -> Normalization:
    """Rewards by the running standard deviation of the discounted return.

    G <- r + gamma G, anew in each episode;  r' = clip(r, -10 stddev(G), 10 stddev(G)) / stddev(G)

    Each reward is clipped by itself (`limit`), before n of them are folded into one.

    Args:
        num_envs: environments N whose rewards are observed.
        discount: gamma.

    Source: Engstrom et al. (2020), section 3, algorithm 1 (their G does not start anew).
    """

    def init() -> RewardStatistics:
        returns = jnp.zeros(num_envs, float_dtype())
        return RewardStatistics(returns, init_moments(returns[0]))

    def observe(variables: Tree, transition: Transition) -> dict[str, Tree]:
        returns, moments = variables[REWARD]
        returns = transition.reward + discount * returns
        ended = transition.terminated | transition.truncated
        return {REWARD: RewardStatistics(jnp.where(ended, 0, returns), merge(moments, returns))}

    def scale(variables: Tree) -> Array:
        return stddev(variables[REWARD].moments)

    return identity_normalization()._replace(
        critic=lambda network: with_statistics(network, REWARD, init, lambda statistics, *inputs: inputs),
        observe=observe,
        reward=lambda variables, reward: reward / scale(variables),
        limit=lambda variables: CLIP * scale(variables),
        value=lambda variables, q: q * scale(variables),
    )


def restart_returns(variables: Tree, which: Array) -> Tree:
    """Variables whose discounted return begins anew in these environments, `[N]` bool; unchanged if they have none."""
    if REWARD not in variables:
        return variables
    statistics = variables[REWARD]
    return {**variables, REWARD: statistics._replace(returns=jnp.where(which, 0, statistics.returns))}


def with_statistics(
    network: Network, name: str, init_statistics: Callable[[], Tree], prepare: Callable[..., tuple]
) -> Network:
    """A network with statistics beside its variables, and its inputs prepared by them."""

    def own(variables: Tree) -> Tree:
        return {key: value for key, value in variables.items() if key != name}

    def train(variables: Tree, *inputs: Tree) -> tuple[Array, Tree]:
        output, new_variables = train_apply(network, own(variables), *prepare(variables[name], *inputs))
        return output, {**variables, **new_variables}

    def init(key: Key) -> Tree:
        return {**network.init(key), name: init_statistics()}

    return Network(
        init, lambda variables, *inputs: network.apply(own(variables), *prepare(variables[name], *inputs)), train
    )


def make_normalization(spec: EnvSpec, config: DDPGConfig, num_envs: int, discount: float) -> Normalization:
    """What the settings ask to be normalised.

    Args:
        spec: the environment's spaces.
        config: the settings.
        num_envs: environments N whose experience is observed.
        discount: gamma of their returns.
    """
    return chain(
        obs_normalization(spec.obs) if config.normalize_obs else identity_normalization(),
        reward_normalization(num_envs, discount) if config.normalize_reward else identity_normalization(),
    )


def chain(one: Normalization, other: Normalization) -> Normalization:
    """Two ways at once, of which each leaves alone what the other does."""

    def limit(variables: Tree) -> Array | None:
        found = one.limit(variables)
        return other.limit(variables) if found is None else found

    return Normalization(
        actor=lambda network: other.actor(one.actor(network)),
        critic=lambda network: other.critic(one.critic(network)),
        observe=lambda variables, transition: one.observe(variables, transition) | other.observe(variables, transition),
        reward=lambda variables, reward: other.reward(variables, one.reward(variables, reward)),
        limit=limit,
        value=lambda variables, q: one.value(variables, other.value(variables, q)),
    )

"""Statistics over few seeds: interquartile mean, its stratified bootstrap interval, probability of improvement.

Source: Agarwal, Schwarzer, Castro, Courville and Bellemare (2021), Deep Reinforcement Learning at the Edge of the
Statistical Precipice. Strata are environments: seeds are drawn again within each.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000
# Resamples held in memory at once.
BATCH = 100


class Estimate(NamedTuple):
    """A statistic with its percentile interval.

    Attributes:
        value: scalar or `[T]`.
        low: lower end, nan where a stratum has fewer than two seeds.
        high: upper end, likewise.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def interquartile_mean(strata: Sequence[np.ndarray]) -> Estimate:
    """Mean of the middle half of all scores, with its interval.

    Args:
        strata: scores of each environment, `[S, ...]` with seeds along the first axis.
    """

    def statistic(*scores: np.ndarray, axis: int = 0) -> np.ndarray:
        return stats.trim_mean(np.concatenate(scores, axis), 0.25, axis)

    return bootstrapped(statistic, strata)


def probability_of_improvement(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> Estimate:
    """P(X > Y) + P(X = Y) / 2 for a seed of x and one of y, the mean over environments, with its interval.

    It is Mann and Whitney's U / (S_x S_y).

    Args:
        x: scores of each environment, `[S_x]`.
        y: the same environments in the same order, `[S_y]`.
    """

    def statistic(*scores: np.ndarray, axis: int = 0) -> np.ndarray:
        pairs = zip(scores[: len(x)], scores[len(x) :], strict=True)
        return np.mean([wins(np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1)) for a, b in pairs], axis=0)

    return bootstrapped(statistic, [*x, *y])


def wins(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How often an entry of x is above one of y, ties counting half: `[..., S_x]`, `[..., S_y]` to `[...]`."""
    difference = np.sign(x[..., :, None] - y[..., None, :])
    return (difference.mean(axis=(-2, -1)) + 1) / 2


def bootstrapped(statistic: Callable[..., np.ndarray], strata: Sequence[np.ndarray]) -> Estimate:
    """A statistic of `statistic(*strata, axis)`, with its interval if every stratum has two seeds or more."""
    value = np.asarray(statistic(*strata, axis=0))
    if min(map(len, strata)) < 2:
        return Estimate(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    found = stats.bootstrap(
        tuple(strata),
        statistic,
        n_resamples=RESAMPLES,
        batch=BATCH,
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),  # the same page for the same runs
    )
    return Estimate(value, found.confidence_interval.low, found.confidence_interval.high)

"""From rows to columns: numbers over steps, moving averages, and condensing that keeps every extreme."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.runs.storage.metrics import Row

# Points of a curve that are drawn one by one, and stretches into which a longer one is condensed: so few that its
# mean can be followed by eye, with the band around it.
MOST, STRETCHES = 400, 250
WINDOW = 10


class Series(NamedTuple):
    """A curve, or one with a spread around it.

    Attributes:
        x: `[N]`, ascending.
        y: `[N]`.
        low: least value behind each point, `[N]`; equal to `y` where there is one value only.
        high: greatest value behind each point, `[N]`.
        rows: how many rows it was made from; more than N where it was condensed.
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rows: int


def number(value: Any) -> float:
    """A value as a float, nan for whatever is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def numbers(values: Any) -> np.ndarray:
    """A list of a row as floats, `[N]`, empty if it is none; nan for what is no number."""
    return np.array([number(value) for value in values] if isinstance(values, list) else [], np.float64)


def finite(values: np.ndarray) -> np.ndarray:
    """Those values that are finite."""
    return values[np.isfinite(values)]


def column(rows: list[Row], name: str) -> np.ndarray:
    """One figure of every row, `[N]`; nan where a row lacks it or it is no finite number."""
    try:
        # Without a detour, which counts where there are a million rows.
        found = np.fromiter(map(operator.itemgetter(name), rows), np.float64, len(rows))
    except (KeyError, TypeError, ValueError, OverflowError):
        found = np.array([number(row.get(name)) for row in rows], np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def reduced(rows: list[Row], name: str, reduce: Callable[[np.ndarray], Any]) -> np.ndarray:
    """One number for the list that each row has under a name, `[N]`; nan where it has none."""
    found = np.full(len(rows), np.nan)
    for index, row in enumerate(rows):
        values = finite(numbers(row.get(name)))
        if values.size:
            found[index] = reduce(values)
    return found


def curve(rows: list[Row], name: str) -> Series:
    """A figure of rows over their steps."""
    y = column(rows, name)
    return drop_unknown(column(rows, "step"), y, y, y)


def spread_curve(rows: list[Row], name: str) -> Series:
    """Mean, least and greatest of a figure that is a list in each row, over the steps."""
    y, low, high = (reduced(rows, name, reduce) for reduce in (np.mean, np.min, np.max))
    return drop_unknown(column(rows, "step"), y, low, high)


def drop_unknown(x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> Series:
    """A curve without the points that are nan."""
    there = np.isfinite(x) & np.isfinite(y)
    return Series(x[there], y[there], low[there], high[there], int(there.sum()))


def condense(whole: Series, most: int = MOST, parts: int = STRETCHES) -> Series:
    """Put neighbours together if there are more than `most`: the mean of each stretch, its least and its greatest.

    x is the last one of the stretch, as in the rows themselves, which are means over the steps before theirs.

    Args:
        whole: the curve.
        most: points that stay as they are.
        parts: stretches that more points are put into.
    """
    count = len(whole.x)
    if count <= most:
        return whole
    begin = stretches(count, parts)
    end = np.append(begin[1:], count)
    return Series(
        whole.x[end - 1],
        np.add.reduceat(whole.y, begin) / (end - begin),
        np.minimum.reduceat(whole.low, begin),
        np.maximum.reduceat(whole.high, begin),
        whole.rows,
    )


def stretches(count: int, parts: int) -> np.ndarray:
    """Where each of `parts` stretches of nearly equal length begins, `[parts]`; never more than `count`."""
    return np.linspace(0, count, min(parts, count), endpoint=False).astype(int)


def moving_average(whole: Series, window: int = WINDOW) -> Series:
    """Mean of the newest `window` values at each point, from the first point that has so many."""
    if len(whole.x) < window:
        return drop_unknown(*[np.empty(0)] * 4)
    means = np.convolve(whole.y, np.full(window, 1 / window), "valid")
    return Series(whole.x[window - 1 :], means, means, means, len(means))


def most_extreme(values: np.ndarray, centre: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Condense rows `[T, P]` to at most `most`: from each stretch and column the value farthest from a centre.

    Returns:
        The values `[N, P]`, and the index of the last row of each stretch, `[N]`.
    """
    begin = stretches(len(values), most)
    parts = np.split(values, begin[1:])
    farthest = [part[np.abs(part - centre).argmax(axis=0), np.arange(part.shape[1])] for part in parts]
    return np.array(farthest), np.append(begin[1:], len(values)) - 1

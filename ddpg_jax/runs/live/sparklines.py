"""The figures in two lines of text, for a terminal without a browser."""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console

from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.storage.metrics import Row

LEVELS, ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
WIDTH = 24
# Newest values of each figure that are drawn.
LENGTH = 1000
CURVES = (("episode", "return"), ("update", "q"), ("update", "target"), ("update", "critic_loss"))


class Sparklines(NamedTuple):
    """Small curves that rows go into.

    Attributes:
        write: takes rows as they come.
        text: the curves now, empty while there is nothing.
    """

    write: Callable[[list[Row]], None]
    text: Callable[[], str]


NO_SPARKLINES = Sparklines(lambda rows: None, str)


def make_sparklines(console: Console) -> Sparklines:
    """Returns, Q beside its target, and critic loss, as small curves of the newest 1,000 values.

    Args:
        console: whose characters are used.
    """
    levels = ASCII_LEVELS if console.options.ascii_only else LEVELS
    kept = {curve: collections.deque[float](maxlen=LENGTH) for curve in CURVES}

    def write(rows: list[Row]) -> None:
        for row in rows:
            for kind, name in CURVES:
                if row["kind"] == kind and name in row:
                    kept[kind, name].append(row[name])

    def text() -> str:
        returns, q, target, loss = kept.values()
        first = f"return {sparkline(returns, levels)} {format_number(returns[-1])}" if returns else ""
        if not (q and target and loss):
            return first
        second = f"Q {sparkline(q, levels)} {format_number(q[-1])} (target {format_number(target[-1])})"
        return f"{first}\n{second}  critic loss {sparkline(loss, levels)} {format_number(loss[-1])}".strip()

    return Sparklines(write, text)


def sparkline(values: Sequence[float], levels: str = LEVELS, width: int = WIDTH) -> str:
    """Finite values from least to greatest as characters, means of neighbours where there are more than `width`."""
    finite = np.array(values, float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return ""
    means = np.array([part.mean() for part in np.array_split(finite, min(width, finite.size))])
    height = (means - means.min()) / (np.ptp(means) or 1)
    return "".join(levels[index] for index in (height * (len(levels) - 1)).round().astype(int))

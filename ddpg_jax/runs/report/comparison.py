"""Several runs beside each other: interquartile means over the steps, and which setting is better."""

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ddpg_jax.runs.report.groups import Group
from ddpg_jax.runs.report.series import Series, stretches
from ddpg_jax.runs.report.statistics import Estimate, interquartile_mean, probability_of_improvement
from ddpg_jax.runs.report.traces import (
    GREY,
    PALETTE,
    Figure,
    Trace,
    background,
    draw,
    layout,
    legend_height,
    positions,
    rounded,
    shade,
    wrapped,
)

# Points of a curve, where settings are few; steps at which interquartile means are computed.
MOST_POINTS = 200
# Pixels of a line of text, and of a mark with the space around it.
LINE, MARK = 18, 28
# Settings of which every two are compared.
MOST_COMPARED = 8
IMPROVEMENT = "improvement"
# Share of comparisons that may be told apart by luck.
MOST_LUCK = 0.05


# Last returns of each environment, `[S]`.
Scores = dict[str, np.ndarray]


class Improvement(NamedTuple):
    """How probably a seed of one setting is better than a seed of another.

    Attributes:
        better: the setting.
        worse: the other one.
        probability: that it is, 0.5 for no difference, with its interval.
        envs: how many environments it is the mean of.
        luck: how probably one of two equal settings wins against every seed of the other. Where the seeds of one win
            throughout, the bootstrap interval has no width, however few they are.
    """

    better: str
    worse: str
    probability: Estimate
    envs: int
    luck: float


def iqm_figure(groups: list[Group], points: int = MOST_POINTS) -> Figure | None:
    """Interquartile mean of each group of one environment over the steps, with its interval and every seed.

    Args:
        groups: of one environment.
        points: of a curve; of more evaluations, as many are taken at equal distances.
    """
    colours = itertools.cycle(PALETTE)
    data = [
        trace for group, colour in zip(groups, colours, strict=False) for trace in group_traces(group, colour, points)
    ]
    if not data:
        return None
    note = "Thin lines are the seeds; bands are 95 % bootstrap intervals of the interquartile mean."
    if any(len(group.steps) > points for group in groups):
        note += f" Of more evaluations, {points} at equal distances are shown."
    single = [group.setting for group in groups if len(group.records) == 1]
    if single:
        note += f" One seed has no interval: {'; '.join(single)}."
    legend = legend_height(wrapped(group.setting) for group in groups)
    return {
        "data": data,
        "layout": layout(y_title="mean return of an evaluation", note=note, legend=legend, height=460),
    }


def group_traces(group: Group, colour: str, points: int) -> list[Trace]:
    """The interquartile mean of a group with its band, and its seeds as thin lines."""
    if not len(group.steps):
        return []
    at = chosen_steps(len(group.steps), points)
    steps, scores = group.steps[at], group.scores[:, at]
    mean = interquartile_mean([scores])
    low, high = (np.where(np.isnan(end), mean.value, end) for end in (mean.low, mean.high))
    name = wrapped(group.setting)
    mode = "lines+markers" if len(steps) < 40 else "lines"
    seeds = [thin_line(steps, seed, name, colour) for seed in scores] if len(scores) > 1 else []
    return seeds + draw(Series(steps, mean.value, low, high, len(steps)), name, colour, "", mode=mode)


def chosen_steps(count: int, most: int) -> np.ndarray:
    """Indices of the evaluations that are shown, the last one among them."""
    return count - 1 - stretches(count, most)[::-1]


def thin_line(steps: np.ndarray, scores: np.ndarray, name: str, colour: str) -> Trace:
    """One seed."""
    return {
        **background(name),
        "x": positions(steps),
        "y": rounded(scores),
        "line": {"color": shade(colour, 0.45), "width": 1},
    }


def final(group: Group) -> Estimate:
    """Interquartile mean of a group at its last common evaluation."""
    return interquartile_mean([group.scores[:, -1]])


def improvements(groups: list[Group]) -> list[Improvement]:
    """Every two settings that share an environment, at their last common evaluations; the better one first.

    Of many settings, each is compared with the best one alone.
    """
    settings: dict[str, Scores] = {}
    for group in groups:
        if len(group.steps):
            settings.setdefault(group.setting, {})[group.env] = group.scores[:, -1]
    pairs: Iterable[tuple[str, str]] = itertools.combinations(settings, 2)
    if len(settings) > MOST_COMPARED:
        best = max(settings, key=lambda name: rank(settings[name], settings.values()))
        pairs = [(best, other) for other in settings if other != best]
    found = [compare(a, b, settings[a], settings[b]) for a, b in pairs]
    return sorted((pair for pair in found if pair), key=lambda pair: -float(pair.probability.value))


def rank(own: Scores, all_scores: Iterable[Scores]) -> float:
    """Share of the settings that one is not below, mean over its environments."""
    shares = [
        np.mean([scores[env].mean() <= mine.mean() for scores in all_scores if env in scores])
        for env, mine in own.items()
    ]
    return float(np.mean(shares))


def compare(a: str, b: str, of_a: Scores, of_b: Scores) -> Improvement | None:
    """Which of two settings is better; None if they share no environment.

    Args:
        a: name of the one.
        b: name of the other.
        of_a: final scores of the one by environment, `[S]`.
        of_b: of the other.
    """
    shared = [env for env in of_a if env in of_b]
    if not shared:
        return None
    x, y = [of_a[env] for env in shared], [of_b[env] for env in shared]
    found = probability_of_improvement(x, y)
    luck = 2 / math.prod(math.comb(len(p) + len(q), len(p)) for p, q in zip(x, y, strict=True))
    if found.value >= 0.5:
        return Improvement(a, b, found, len(shared), luck)
    return Improvement(b, a, probability_of_improvement(y, x), len(shared), luck)


def is_significant(pair: Improvement) -> str:
    """Whether the seeds tell two settings apart: "yes", or why not."""
    if pair.luck > MOST_LUCK:
        return "no, too few seeds"
    return "yes" if pair.probability.low > 0.5 else "no"


def improvement_figure(found: list[Improvement]) -> Figure | None:
    """Each probability with its interval, beside the even chance."""
    if not found:
        return None
    value, low, high = (np.array([float(getattr(pair.probability, end)) for pair in found]) for end in Estimate._fields)
    labels = [f"{wrapped(pair.better)}<br>{wrapped(f'better than {pair.worse}')}" for pair in found]
    # One unit is one pixel: each mark has its lines of text above it.
    rows = np.cumsum([LINE * (1 + text.count("<br>")) + MARK for text in labels]).tolist()
    trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "probability of improvement",
        "x": rounded(value),
        "y": rows,
        "marker": {"color": PALETTE[0], "size": 11},
        "error_x": {
            "symmetric": False,
            "array": rounded(high - value),
            "arrayminus": rounded(value - low),
            "color": PALETTE[0],
        },
        "customdata": [interval(pair.probability) for pair in found],
        "hovertemplate": "probability %{x:.2f}, interval: %{customdata}<extra></extra>",
    }
    annotations = [label(text, row) for text, row in zip(labels, rows, strict=True)]
    return {"data": [trace], "layout": improvement_layout(rows[-1] + MARK // 2, annotations)}


def improvement_layout(height: int, annotations: list[dict]) -> dict:
    """The layout of so many pixels, with a line at the even chance."""
    shape = layout("probability that a seed is better", hovermode="closest")
    shape["margin"] |= {"l": 20}
    shape["height"] = height + shape["margin"]["t"] + shape["margin"]["b"]
    shape["xaxis"] |= {"range": [-0.02, 1.02], "hoverformat": ".2f"}
    bare = dict.fromkeys(("showticklabels", "showgrid", "zeroline"), False)
    shape["yaxis"] |= {"range": [height, 0], "ticks": "", **bare}
    shape["annotations"] = annotations
    line = {"color": GREY, "width": 2, "dash": "dot"}
    chance = {"x0": 0.5, "x1": 0.5, "yref": "paper", "y0": 0, "y1": 1, "line": line}
    shape["shapes"] = [{"type": "line", "layer": "below", **chance}]
    return shape


def label(text: str, row: float) -> dict:
    """The names of a pair above the mark of its row."""
    place = {"x": 0, "y": row, "xanchor": "left", "yanchor": "bottom", "yshift": 9}
    return {"text": text, "align": "left", "showarrow": False, **place}


def interval(estimate: Estimate, digits: int = 2) -> str:
    """An interval in words."""
    if np.isnan(estimate.low):
        return "no interval with one seed"
    return f"{estimate.low:,.{digits}f} to {estimate.high:,.{digits}f}"

"""How the return went: what was earned before learning, what after it, and whether that is clearly more.

The unit of a return is not known, nor how good one can be. So a gain is measured by the spread of what was earned
before learning, by its own standard error, and by how much policies that follow each other differ.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.config import TrainConfig
from ddpg_jax.runs.report.series import column, finite, numbers
from ddpg_jax.runs.storage.metrics import Row

# Share of a run that says how it ends: enough to average over, and nothing from the beginning.
LATE = 0.25
# Points that the returns of training episodes are put into where a run has no evaluations.
GROUPS = 10
# Episodes below which nothing can be said about a policy.
FEW_EPISODES = 3
# Standard deviations of the returns before learning that a gain must have; where nothing was ever earned, they are 0.
CLEAR = 0.75
# The same for the best stretch of a run, which was picked for being the best.
CLEAR_AT_BEST = 1.5
# Standard errors beyond which a difference is no chance. Where nothing was earned before, 5 successes in 100 are seen.
ERRORS = 2.0
# How often the usual fall from one evaluation to the next a gain must be, or it is one of the ups and downs of policies
# that learn nothing; and falls from which on the usual one is known.
USUAL, FEW_FALLS = 2.0, 2
# Share of the best gain whose loss is a fall, and of a gain that is still made in the last evaluation if it rises.
# Evaluations of 10 Pendulum episodes that learned differ by up to a tenth.
LOST, RISING = 0.5, 0.1


class Returns(NamedTuple):
    """What episodes earned.

    Attributes:
        start: returns before anything was learned, `[S]`.
        points: returns at each point after it, in order: of an evaluation, or of a tenth of the training episodes.
        source: what the points are, "evaluation" or "training episodes".
    """

    start: np.ndarray
    points: tuple[np.ndarray, ...]
    source: str


def gather_returns(rows: dict[str, list[Row]], train: TrainConfig) -> Returns:
    """Sort a run's episodes into those from before learning and those after.

    Random actions and a fresh policy differ in what they earn, and what was learned has to be better than both: the
    better one is the start. Where neither was played, the first point stands for it.
    """
    steps = column(rows["evaluation"], "step")
    played = [finite(numbers(row.get("returns"))) for row in rows["evaluation"]]
    fresh = [returns for step, returns in zip(steps, played, strict=True) if step <= train.update_after]
    points = [
        returns for step, returns in zip(steps, played, strict=True) if step > train.update_after and returns.size
    ]
    source = "evaluation" if points else "training episodes"
    training, ended = column(rows["episode"], "return"), column(rows["episode"], "step")
    begin = max(train.start_steps, train.update_after)
    if not points:
        groups = np.array_split(finite(training[ended > begin]), GROUPS)
        points = [group for group in groups if group.size]
    start = better_of(finite(training[ended <= begin]), np.concatenate([*fresh, []]))
    if start.size < FEW_EPISODES and len(points) > 1:
        start, *points = points
    return Returns(start, tuple(points), source)


def better_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The group with the higher mean, of those with enough episodes; both in one if neither has."""
    enough = [group for group in (one, other) if group.size >= FEW_EPISODES]
    return max(enough, key=np.mean) if enough else np.concatenate([one, other])


def last_quarter(values: Any) -> Any:
    """The last quarter of a sequence, at least one of it."""
    return values[-max(1, math.ceil(LATE * len(values))) :]


def last_quarter_returns(returns: Returns) -> np.ndarray:
    """Returns of the last quarter of the points, `[L]`."""
    return np.concatenate(last_quarter(returns.points))


def last_returns(returns: Returns) -> np.ndarray:
    """Returns of the last point, or of the last quarter where that is too few episodes, `[L]`."""
    last = returns.points[-1]
    return last if last.size >= FEW_EPISODES else last_quarter_returns(returns)


def improved(returns: Returns) -> bool:
    """Whether the return is clearly better than before learning, and has not fallen back."""
    return better(last_quarter_returns(returns), returns, CLEAR) and not has_fallen(returns)


def has_fallen(returns: Returns) -> bool:
    """Whether the run had clearly improved, and its last policy has lost half of that."""
    last = last_returns(returns)
    below = last.mean() + ERRORS * error(last) < halfway(returns)
    return bool(below) and better(best_stretch(returns), returns, CLEAR_AT_BEST)


def halfway(returns: Returns) -> float:
    """The return between the start and the best stretch below which what was learned is lost."""
    best = best_stretch(returns).mean()
    return float(best - LOST * (best - returns.start.mean()))


def rising(returns: Returns) -> bool:
    """Whether the last point is still well above those before it."""
    width, last = len(last_quarter(returns.points)), returns.points[-1].mean()
    before = np.concatenate(returns.points[-width - 1 : -1] or (returns.start,)).mean()
    return bool(last - before > RISING * (last - returns.start.mean()))


def better(stretch: np.ndarray, returns: Returns, clear: float) -> bool:
    """Whether a stretch of the run has clearly gained on the start, beyond chance and the usual ups and downs."""
    start = returns.start
    chance = np.hypot(error(stretch), error(start))
    needed = max(clear * start.std(), ERRORS * chance, USUAL * usual_fall(returns.points))
    return bool(stretch.mean() - start.mean() > needed)


def error(returns: np.ndarray) -> float:
    """Standard error of the mean."""
    return float(returns.std() / np.sqrt(returns.size))


def usual_fall(points: tuple[np.ndarray, ...]) -> float:
    """How far the mean falls from one point to the next where it does, 0 where there are too few falls to know."""
    changes = np.diff([point.mean() for point in points])
    falls = -changes[changes < 0]
    return float(np.median(falls)) if falls.size >= FEW_FALLS else 0.0


def best_stretch(returns: Returns) -> np.ndarray:
    """Returns of the best stretch that is as long as the last quarter, `[B]`."""
    width, count = len(last_quarter(returns.points)), len(returns.points)
    stretches = (np.concatenate(returns.points[begin : begin + width]) for begin in range(count - width + 1))
    return max(stretches, key=np.mean)

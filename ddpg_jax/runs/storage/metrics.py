"""What training reports, as rows of JSON: one line each, appended as it happens.

Rows are told apart by `kind`: "episode", "update" (means over `log_every` steps), "evaluation", "probe" (policy and
Q on states that stay the same, runs/probe_states.py), and "restart" (an episode that was cut, since its environment
failed or could not be restored). A number that is not finite is null.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.agent.state import UpdateInfo
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage.strict_json import dumps
from ddpg_jax.training.evaluation import Evaluation
from ddpg_jax.training.runner import Metrics

Row = dict[str, Any]


class Means(NamedTuple):
    """Means in the making: sum and number of what each figure was so far, by name.

    Sums are taken strictly one after the other, so that it changes nothing where the steps between two
    rows were interrupted.
    """

    totals: dict[str, float] = {}  # noqa: RUF012
    counts: dict[str, int] = {}  # noqa: RUF012


def add_updates(means: Means, metrics: Metrics) -> Means:
    """Take the updates of a chunk into the means; figures that are not finite have no part in them.

    Args:
        means: so far.
        metrics: as `Trainer.run` returned them, `[T, ...]`.
    """
    totals, counts = dict(means.totals), dict(means.counts)
    for name, values in metrics.update._asdict().items():
        finite = np.asarray(values, np.float64)
        finite = finite[np.isfinite(finite)]
        if finite.size:
            totals[name] = float(np.add.accumulate(np.concatenate([[totals.get(name, 0.0)], finite]))[-1])
            counts[name] = counts.get(name, 0) + finite.size
    return Means(totals, counts)


def update_rows(means: Means, step: int, seconds: float, skipped: int) -> list[Row]:
    """The row of the updates since the last one, none if there was no update.

    Args:
        means: of these updates.
        step: environment steps so far.
        seconds: of training so far.
        skipped: updates of the whole run that were skipped, since a gradient was not finite.
    """
    if not means.counts:
        return []
    # In an order of their own: a checkpoint gives the means back sorted by name.
    names = [name for name in UpdateInfo._fields if name in means.counts]
    figures = {name: means.totals[name] / means.counts[name] for name in names}
    return [{"kind": "update", "step": step, "seconds": round(seconds, 3), "skipped": skipped, **figures}]


def episode_rows(metrics: Metrics) -> list[Row]:
    """A row for each episode that ended in a chunk.

    Args:
        metrics: as `Trainer.run` returned them, `[T, ...]`.
    """
    metrics = jax.tree.map(np.asarray, metrics)
    taken = metrics.step > 0
    return [
        {
            "kind": "episode",
            "step": int(metrics.step[time]),
            "env": int(env),
            "return": float(metrics.episode_return[time, env]),
            "length": int(metrics.episode_length[time, env]),
        }
        for time, env in np.argwhere(metrics.ended & taken[:, None])
    ]


def evaluation_row(step: int, evaluation: Evaluation, q: np.ndarray) -> Row:
    """The row of one evaluation, with every episode's return, discounted return and length.

    Args:
        step: environment steps so far.
        evaluation: what was played.
        q: the first critic's Q at the start of each episode, which should be its discounted return, `[E]`.
    """
    return {
        "kind": "evaluation",
        "step": step,
        "returns": evaluation.returns.tolist(),
        "lengths": evaluation.lengths.tolist(),
        "discounted_returns": short(evaluation.discounted_returns),
        "q": short(q),
    }


def probe_row(step: int, action: np.ndarray, q: np.ndarray, batch_action: np.ndarray) -> Row:
    """The row of a probe of the policy.

    Args:
        step: environment steps so far.
        action: of the greedy policy on the probe states, in [-1, 1], `[P, A]`.
        q: the first critic's Q of these states and actions, `[P]`.
        batch_action: actions of a batch drawn from the memory, `[B, A]`; their spread shows what was explored.
    """
    spread = float(np.std(batch_action, axis=0).mean())
    return {"kind": "probe", "step": step, "action": short(action), "q": short(q), "action_stddev": spread}


def short(values: np.ndarray) -> Any:
    """Numbers as nested lists, to five significant digits: they are to be looked at."""
    return [short(value) if value.ndim else float(f"{value:.5g}") for value in np.asarray(values)]


def restart_row(step: int, reason: str) -> Row:
    """The row of an episode that was cut."""
    return {"kind": "restart", "step": step, "reason": reason}


def append_rows(path: Path, rows: list[Row]) -> int:
    """Append rows to a JSON-lines file; returns how many bytes it has now.

    Raises:
        StorageError: if the disk does not take them.
    """
    try:
        with path.open("a") as file:
            file.writelines(dumps(row) + "\n" for row in rows)
        return path.stat().st_size
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error

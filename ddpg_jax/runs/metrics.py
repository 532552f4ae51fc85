"""What training reports, as rows of JSON: one line each, appended as it happens.

Three kinds of row, told apart by `kind`: "update" (means over a chunk), "episode", and "evaluation".
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ddpg_jax.training.evaluation import Evaluation
from ddpg_jax.training.loop import Metrics

Row = dict[str, Any]


def chunk_rows(metrics: Metrics, seconds: float) -> list[Row]:
    """Rows of one chunk: a mean of its updates, if there were any, and each episode that ended.

    Args:
        metrics: as `Trainer.run` returned them, `[T, ...]`.
        seconds: since training began.
    """
    metrics = jax.tree.map(np.asarray, metrics)
    taken = metrics.step > 0
    rows = []
    for time, env in np.argwhere(metrics.ended & taken[:, None]):
        rows.append(
            {
                "kind": "episode",
                "step": int(metrics.step[time]),
                "env": int(env),
                "return": float(metrics.episode_return[time, env]),
                "length": int(metrics.episode_length[time, env]),
            }
        )
    updates = {name: values[~np.isnan(values)] for name, values in metrics.update._asdict().items()}
    means = {name: float(values.mean()) for name, values in updates.items() if values.size}
    if means:
        rows.append({"kind": "update", "step": int(metrics.step.max()), "seconds": round(seconds, 3), **means})
    return rows


def evaluation_row(step: int, evaluation: Evaluation) -> Row:
    """The row of one evaluation, with every episode's return and length."""
    returns, lengths = evaluation.returns.tolist(), evaluation.lengths.tolist()
    return {"kind": "evaluation", "step": step, "returns": returns, "lengths": lengths}


def append_rows(path: Path, rows: list[Row]) -> None:
    """Append rows to a JSON-lines file."""
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

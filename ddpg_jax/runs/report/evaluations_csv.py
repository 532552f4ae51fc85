"""The evaluations of runs as a table for other tools."""

import csv
import io
from collections.abc import Sequence

from ddpg_jax.runs.report.groups import group_runs
from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.series import spread_curve

COLUMNS = ("env", "group", "seed", "step", "return")


def evaluations_csv(records: Sequence[Record]) -> str:
    """Comma-separated values: a line for each evaluation of each run, with the mean return of its episodes.

    Groups are those of the page: runs with the same settings. Of several runs with the same setting and seed, the
    longest counts.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for group in group_runs(list(records)):
        for record in group.records:
            returns = spread_curve(record.rows["evaluation"], "returns")
            for step, value in zip(returns.x.tolist(), returns.y.tolist(), strict=True):
                table.writerow((group.env, group.setting, record.run.config.seed, int(step), value))
    return text.getvalue()

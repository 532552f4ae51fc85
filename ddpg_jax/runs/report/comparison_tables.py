"""Several runs in numbers: each setting, each pair of settings, and each run with its verdict."""

import numpy as np

from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.report.comparison import Improvement, final, interval, is_significant
from ddpg_jax.runs.report.groups import BESIDE, Group
from ddpg_jax.runs.report.page import table
from ddpg_jax.runs.report.record import Record, last_step
from ddpg_jax.runs.report.run_page import mean_rate
from ddpg_jax.runs.report.series import spread_curve
from ddpg_jax.runs.report.settings import differing, flat_settings, shown
from ddpg_jax.runs.report.verdict import judge

NOT_YET = "-"
# Settings that a table has beside each other.
MOST_COLUMNS = 8


def group_table(groups: list[Group]) -> str:
    """Each group's final scores in numbers."""
    header = (
        "setting",
        "environment",
        "seeds",
        "steps",
        "mean",
        "IQM",
        "95 % interval of IQM",
        "worst seed",
        "steps/s",
    )
    return table("Settings at their last common evaluation", header, [group_row(group) for group in groups])


def group_row(group: Group) -> list[str]:
    """A row of the table of groups."""
    rates = [rate for rate in map(mean_rate, group.records) if np.isfinite(rate)]
    rate = f"{np.median(rates):,.0f}" if rates else NOT_YET
    begin = [group.setting, group.env, str(len(group.records))]
    if not len(group.steps):
        return [*begin, NOT_YET, NOT_YET, NOT_YET, "no common evaluation yet", NOT_YET, rate]
    last, iqm = group.scores[:, -1], final(group)
    worst = group.records[int(last.argmin())].run.config.seed
    return [
        *begin,
        f"{group.steps[-1]:,.0f}",
        format_number(last.mean()),
        format_number(float(iqm.value)),
        interval(iqm, 1),
        f"{format_number(last.min())} (seed {worst})",
        rate,
    ]


def difference_table(groups: list[Group]) -> str:
    """The values of all settings that tell groups apart, whatever these are called; nothing of one setting alone."""
    values = {group.setting: flat_settings(group.records[0].run.config) for group in groups[::-1]}
    columns = list(values)[::-1][:MOST_COLUMNS]
    names = [name for name in differing(list(values.values())) if name != "env" and not name.startswith(BESIDE)]
    rows = [[name, *(shown(values[column].get(name)) for column in columns)] for name in names]
    return table("Settings that differ", ("setting", *columns), rows) if rows else ""


def improvement_table(found: list[Improvement]) -> str:
    """Each pair of settings in numbers."""
    rows = [improvement_row(pair) for pair in found]
    header = ("setting", "better than", "probability", "95 % interval", "environments", "told apart")
    return table("Probability of improvement", header, rows) if rows else ""


def improvement_row(pair: Improvement) -> list[str]:
    """A row of the table of pairs."""
    value = f"{pair.probability.value:.2f}"
    return [pair.better, pair.worse, value, interval(pair.probability), str(pair.envs), is_significant(pair)]


def run_table(groups: list[Group]) -> str:
    """Every run with its verdict."""
    rows = [run_row(group, record) for group in groups for record in group.records]
    return table("Runs", ("run", "setting", "seed", "steps", "last evaluation", "verdict"), rows)


def run_row(group: Group, record: Record) -> list[str]:
    """A row of the table of runs."""
    returns = spread_curve(record.rows["evaluation"], "returns").y
    return [
        str(record.run.path),
        group.name,
        str(record.run.config.seed),
        f"{last_step(record):,} of {record.run.config.train.total_steps:,}",
        format_number(returns[-1]) if len(returns) else NOT_YET,
        judge(record).headline,
    ]

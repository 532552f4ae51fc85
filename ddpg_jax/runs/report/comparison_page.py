"""The page of several runs: which setting is better, how sure that is, and how each run went."""

from html import escape

import numpy as np

from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.report.comparison import (
    IMPROVEMENT,
    MOST_LUCK,
    Improvement,
    final,
    improvement_figure,
    improvements,
    interval,
    iqm_figure,
    is_significant,
)
from ddpg_jax.runs.report.groups import Group, group_runs
from ddpg_jax.runs.report.page import page, section, table
from ddpg_jax.runs.report.record import Record, last_step
from ddpg_jax.runs.report.run_page import mean_rate
from ddpg_jax.runs.report.series import spread_curve
from ddpg_jax.runs.report.verdict import judge

NOT_YET = "-"


def comparison_page(records: list[Record]) -> str:
    """The page of several runs, finished or not.

    Raises:
        ConfigError: if Plotly is not installed.
    """
    groups = group_runs(records)
    found = improvements(groups)
    by_env = {
        env: [group for group in groups if group.env == env] for env in dict.fromkeys(group.env for group in groups)
    }
    drawn = {f"iqm-{index}": iqm_figure(members) for index, members in enumerate(by_env.values())}
    drawn[IMPROVEMENT] = improvement_figure(found)
    places = [
        section(
            f"iqm-{index}",
            f"{env}: interquartile mean of the evaluations",
            "This is the mean of the middle half of the seeds: a better setting lies higher, and its band does not "
            "touch the others'.",
            "There is no evaluation yet that all runs of a group have.",
            "across",
        )
        for index, env in enumerate(by_env)
    ]
    places.append(
        section(
            IMPROVEMENT,
            "Probability of improvement",
            "This is how probably a seed of the one setting ends above a seed of the other: an interval that leaves "
            "out 0.5 tells them apart, if the seeds are not too few.",
            "There are no two settings with evaluations of the same environment.",
            "across",
        )
    )
    title = " and ".join(by_env) if len(by_env) < 3 else f"{len(by_env)} environments"
    return page(
        f"{title}: {len(groups)} settings, {len(records)} runs",
        comparison_head(title, groups, records, found),
        "\n".join(places),
        {name: figure for name, figure in drawn.items() if figure},
        group_table(groups) + improvement_table(found) + run_table(groups),
    )


def comparison_head(title: str, groups: list[Group], records: list[Record], found: list[Improvement]) -> str:
    """Title and what the comparison says, as HTML."""
    used = sum(len(group.records) for group in groups)
    again = (
        f" {len(records) - used} of them repeat a setting and seed; the longest of these counts."
        if used < len(records)
        else ""
    )
    count = f"{len(groups)} setting{'s' if len(groups) > 1 else ''} in {len(records)} runs.{again}"
    return (
        f'<header><h1>{escape(title)}</h1><p class="quiet">{count}</p></header>'
        f'<section class="verdict soft" aria-label="Comparison"><p class="kind">comparison</p>'
        f"<h2>{escape(headline(groups, found))}</h2></section>"
    )


def headline(groups: list[Group], found: list[Improvement]) -> str:
    """The comparison in one sentence."""
    if not found:
        return "One setting, with its seeds." if len(groups) == 1 else "There is nothing to compare yet."
    if len(found) > 1:
        clear = sum(is_significant(pair) == "yes" for pair in found)
        return f"{clear} of {len(found)} pairs of settings can be told apart with these seeds."
    (pair,) = found
    sure = f"probability {pair.probability.value:.2f}, {interval(pair.probability)}"
    if is_significant(pair) == "yes":
        return f"{pair.better} is better than {pair.worse} ({sure})."
    few = f": of two equal settings, one wins throughout in {pair.luck:.0%} of all cases"
    why = few if pair.luck > MOST_LUCK else ""
    return f"These seeds cannot say whether {pair.better} is better than {pair.worse} ({sure}){why}."


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
    begin = [group.setting or "all settings the same", group.env, str(len(group.records))]
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

"""The page of several runs: which setting is better, how sure that is, and how each run went."""

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from ddpg_jax.runs.report.comparison import IMPROVEMENT, improvements
from ddpg_jax.runs.report.comparison_figures import DETAILS, IQM, PAIRS, Compared, by_environment
from ddpg_jax.runs.report.comparison_headline import headline
from ddpg_jax.runs.report.comparison_tables import difference_table, group_table, improvement_table, run_table
from ddpg_jax.runs.report.figures import Topic
from ddpg_jax.runs.report.groups import Group, group_runs
from ddpg_jax.runs.report.page import Plotly, page, section
from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.traces import Figure


class Place(NamedTuple):
    """A figure of the page, with its id and its place as HTML; None where there is nothing to draw."""

    name: str
    html: str
    figure: Figure | None


def comparison_page(records: list[Record], plotly: Plotly = "inline") -> str:
    """The page of several runs, finished or not.

    Args:
        records: of the runs.
        plotly: where the page has plotly.js from, as `page` knows it.

    Raises:
        ConfigError: if Plotly is not installed.
    """
    groups = group_runs(records)
    found, by_env = improvements(groups), by_environment(groups)
    details = [place for name, topic in DETAILS.items() for place in places(name, topic, by_env)]
    shown = [*places("iqm", IQM, by_env), make_place(IMPROVEMENT, PAIRS.title, PAIRS, found), *details]
    title = " and ".join(by_env) if len(by_env) < 3 else f"{len(by_env)} environments"
    return page(
        f"{title}: {count_settings(groups)}, {len(records)} runs",
        comparison_head(title, groups, len(records), headline(groups, found)),
        "\n".join(place.html for place in shown),
        {place.name: place.figure for place in shown if place.figure},
        group_table(groups) + difference_table(groups) + improvement_table(found) + run_table(groups),
        plotly=plotly,
    )


def places(name: str, topic: Topic[Compared], by_env: dict[str, Compared]) -> Iterator[Place]:
    """A figure for each environment, which its title names if there are several."""
    for index, (env, compared) in enumerate(by_env.items()):
        title = f"{env}: {topic.title}" if len(by_env) > 1 else topic.title
        yield make_place(f"{name}-{index}", title, topic, compared)


def make_place(name: str, title: str, topic: Topic, source: object) -> Place:
    """A figure with its place."""
    html = section(name, title, topic.healthy, topic.missing, "across" * topic.wide)
    return Place(name, html, topic.build(source))


def count_settings(groups: list[Group]) -> str:
    """How many settings there are, whatever the environments."""
    number = len({group.setting for group in groups})
    return f"{number} setting{'s' if number > 1 else ''}"


def comparison_head(title: str, groups: list[Group], num_runs: int, said: str) -> str:
    """Title and what the comparison says, as HTML."""
    used = sum(len(group.records) for group in groups)
    again = (
        f" {num_runs - used} of them repeat a setting and seed; the longest of these counts." if used < num_runs else ""
    )
    return (
        f'<header><h1>{escape(title)}</h1><p class="quiet">{count_settings(groups)} in {num_runs} runs.{again}</p>'
        f'</header><section class="verdict soft" aria-label="Comparison"><p class="kind">comparison</p>'
        f"<h2>{escape(said)}</h2></section>"
    )

"""`ddpg-jax report`."""

from pathlib import Path
from typing import Annotated, NamedTuple

import tyro
from rich.console import Console

from ddpg_jax.config import ConfigError, field_problem
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import parse
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.report.page import Plotly
from ddpg_jax.runs.report.write import write_report


class Options(NamedTuple):
    """What was asked for, as `write_report` takes it."""

    runs: tuple[Path, ...]
    output: Path | None
    csv: Path | None
    plotly: Plotly


def report(args: list[str], console: Console) -> int:
    """`ddpg-jax report RUN [RUN ...]`: write the page and say where; the runs are only read."""

    def options(
        runs: tyro.conf.Positional[tuple[Path, ...]],
        output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
        csv: Path | None = None,
        plotly: Plotly = "inline",
    ) -> Options:
        """Show what runs learned, in one page that works offline; several runs are compared.

        Args:
            runs: run directories of trainings, ended or not, or folders of them; what cannot be read in a folder is
                left out.
            output: the page to write; by default report.html in the run directory, or here for several runs.
            csv: a file to write as well, with a line for each evaluation: env, group, seed, step, return.
            plotly: inline for a page of 5 MB that needs no network, cdn for a small one that fetches plotly.js from
                cdn.plot.ly whenever it is opened.
        """
        return Options(runs, output, csv, plotly)

    chosen = parse(options, "report", args)
    if not chosen.runs:
        raise ConfigError("report needs a run directory; see ddpg-jax report --help")
    if problem := field_problem("plotly", chosen.plotly, Plotly, None):
        raise ConfigError(problem)
    path = write_report(chosen.runs, chosen.output, chosen.csv, chosen.plotly, lambda line: print_line(console, line))
    if chosen.csv is not None:
        print_line(console, f"evaluations: {chosen.csv}")
    needs = "; it needs the network whenever it is opened" if chosen.plotly == "cdn" else ""
    print_line(console, f"report: {path}{needs}")
    return DONE

"""`ddpg-jax report`."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import parse
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.report.write import write_report


def report(args: list[str], console: Console) -> int:
    """`ddpg-jax report RUN [RUN ...]`: write the page and say where; the runs are only read."""

    def options(
        runs: tyro.conf.Positional[tuple[Path, ...]],
        output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    ) -> tuple[tuple[Path, ...], Path | None]:
        """Show what runs learned, in one page that works offline; several runs are compared.

        Args:
            runs: run directories of trainings, ended or not.
            output: the page to write; by default report.html in the run directory, or here for several runs.
        """
        return runs, output

    paths, output = parse(options, "report", args)
    if not paths:
        raise ConfigError("report needs a run directory; see ddpg-jax report --help")
    print_line(console, f"report: {write_report(paths, output)}")
    return DONE

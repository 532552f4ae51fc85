"""Writing the report of runs as one file."""

import os
from collections.abc import Callable
from pathlib import Path

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.report.evaluations_csv import evaluations_csv
from ddpg_jax.runs.report.find_runs import read_records
from ddpg_jax.runs.report.page import Plotly
from ddpg_jax.runs.report.record import Record

REPORT = "report.html"


def write_report(
    paths: tuple[Path, ...],
    output: Path | None = None,
    csv: Path | None = None,
    plotly: Plotly = "inline",
    print_line: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the page of a run, or of several beside each other; returns where.

    Args:
        paths: run directories, or folders of them; a run that is named twice counts once.
        output: the page; `RUN/report.html` or, for several, `report.html` if it is None.
        csv: a table of all evaluations to write as well, or None.
        plotly: where the page has plotly.js from, "inline" or "cdn".
        print_line: called with a line for each run of a folder that is left out.

    Raises:
        ConfigError: if there is no run in one of them, or a file cannot be put there.
        StorageError: if metrics cannot be read, or a file not be written.
    """
    records = read_records(paths, print_line)
    output = output or (records[0].run.path / REPORT if len(records) == 1 else Path(REPORT))
    check_file(output, "-o", REPORT)
    if csv is not None:
        check_file(csv, "--csv", "report.csv")
        write_whole(csv, evaluations_csv(records), "--csv")
    return write_whole(output, make_page(records, plotly), "-o")


def check_file(path: Path, flag: str, usual: str) -> None:
    """Find out whether a file can be there, before anything is written.

    Args:
        path: of the file.
        flag: that names it.
        usual: a name for such a file.

    Raises:
        ConfigError: if it cannot.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a directory; name the file: {flag} {path / usual}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is no directory; make it first, or choose another {flag}")


def make_page(records: list[Record], plotly: Plotly) -> str:
    """The page of one run, or of several."""
    if len(records) == 1:
        from ddpg_jax.runs.report.run_page import run_page

        return run_page(records[0], plotly=plotly)
    # It needs scipy's statistics, which take longer to import than the page of one run takes to write.
    from ddpg_jax.runs.report.comparison_page import comparison_page

    return comparison_page(records, plotly)


def write_whole(path: Path, text: str, flag: str) -> Path:
    """Write a file that has its name only when it is whole; returns the path.

    Args:
        path: of the file.
        text: all of it.
        flag: that names another place.

    Raises:
        StorageError: if it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}; choose another place with {flag}") from error
    return path

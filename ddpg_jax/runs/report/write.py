"""Writing the report of runs as one file."""

import os
from pathlib import Path

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.report.record import read_record

REPORT = "report.html"


def write_report(paths: tuple[Path, ...], output: Path | None = None) -> Path:
    """Write the page of a run, or of several beside each other; returns where.

    Args:
        paths: run directories; one that is named twice counts once.
        output: the page; `RUN/report.html` or, for several, `report.html` if it is None.

    Raises:
        ConfigError: if there is no run in one of them, or the page cannot be put there.
        StorageError: if metrics cannot be read, or the page not be written.
    """
    paths = tuple({path.resolve(): path for path in paths}.values())
    output = output or (paths[0] / REPORT if len(paths) == 1 else Path(REPORT))
    if output.is_dir():
        raise ConfigError(f"{output} is a directory; name the file: -o {output / REPORT}")
    records = [read_record(path) for path in paths]
    if not output.parent.is_dir():
        raise ConfigError(f"{output.parent} is no directory; make it first, or choose another -o")
    if len(records) == 1:
        from ddpg_jax.runs.report.run_page import run_page

        text = run_page(records[0])
    else:
        # It needs scipy's statistics, which take longer to import than the page of one run takes to write.
        from ddpg_jax.runs.report.comparison_page import comparison_page

        text = comparison_page(records)
    return write_whole(output, text)


def write_whole(path: Path, text: str) -> Path:
    """Write a file that has its name only when it is whole; returns the path.

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
        raise StorageError(f"{path} cannot be written: {error.strerror}; choose another place with -o") from error
    return path

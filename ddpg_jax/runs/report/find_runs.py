"""The runs that a report is about: those named, and those in a folder of runs."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.report.record import Record, read_record
from ddpg_jax.runs.storage.directory import SETTINGS


def read_records(paths: Iterable[Path], print_line: Callable[[str], None]) -> list[Record]:
    """Read runs; one that is named twice counts once.

    Args:
        paths: run directories, and folders of them.
        print_line: called with a line for each directory of a folder that is left out, since it cannot be read.

    Raises:
        ConfigError: if there is no run in one that is named itself, or in the whole of a folder.
        StorageError: if metrics of one that is named itself cannot be read.
    """
    found: dict[Path, Record] = {}
    for path in paths:
        for record in read_folder(path, print_line) if is_folder(path) else [read_record(path)]:
            found.setdefault(record.run.path.resolve(), record)
    return list(found.values())


def is_folder(path: Path) -> bool:
    """Whether this is no run, but a place of runs."""
    return path.is_dir() and not (path / SETTINGS).exists() and any(each.is_dir() for each in path.iterdir())


def read_folder(folder: Path, print_line: Callable[[str], None]) -> list[Record]:
    """The runs right below a folder, in the order of their names.

    Raises:
        ConfigError: if there is none that can be read.
    """
    found = []
    for path in sorted(each for each in folder.iterdir() if each.is_dir()):
        try:
            found.append(read_record(path))
        except (ConfigError, StorageError) as error:
            print_line(f"left out: {str(error).splitlines()[0]}")
    if not found:
        raise ConfigError(f"{folder} holds no run, and none of the folders in it does that can be read")
    return found

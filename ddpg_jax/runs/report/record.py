"""A run as the report sees it: its settings and its rows, read while another process may be writing them."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.probe_states import STATES, read_states
from ddpg_jax.runs.report.series import column
from ddpg_jax.runs.storage.directory import METRICS, Run, read_settings
from ddpg_jax.runs.storage.metrics import Row

KINDS = ("update", "episode", "evaluation", "probe", "restart")
# Lines parsed in one call, which is twice as fast as one by one, and shares the names between the rows.
BATCH = 4096


class Record(NamedTuple):
    """What a run has written so far.

    Attributes:
        run: its directory, settings and versions.
        rows: by kind, in the order of their writing; a kind that has none is empty.
        unreadable: lines that are not rows; a last line that is still being written is not one of them.
        probe_states: the states that the rows of probes are about, `[P, ...]`; None where they are not kept.
    """

    run: Run
    rows: dict[str, list[Row]]
    unreadable: int
    probe_states: np.ndarray | None = None


def read_record(path: Path) -> Record:
    """Read a run directory, changing nothing in it.

    Raises:
        ConfigError: if there is no run there.
        StorageError: if its metrics cannot be read.
    """
    run, rows, unreadable = read_settings(path), {kind: list[Row]() for kind in KINDS}, 0
    for value in read_lines(path / METRICS):
        kind = value.get("kind") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind in rows:
            rows[kind].append(value)
        else:
            unreadable += 1
    return Record(run, rows, unreadable, read_states(path / STATES))


def read_lines(file: Path) -> Iterator[Any]:
    """The value of each whole line of JSON, None for a line that is not JSON; nothing if there is no such file.

    Raises:
        StorageError: if the file cannot be read.
    """
    if not file.is_file():
        return
    try:
        with file.open("rb") as lines:
            while batch := list(itertools.islice(lines, BATCH)):
                # The newest line may still be in the making; only the newline ends it.
                yield from parse([line for line in batch if line.endswith(b"\n")])
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}") from error


def parse(lines: list[bytes]) -> list[Any]:
    """The value of each line, None where it is not JSON."""
    try:
        values = json.loads(b"[" + b",".join(lines) + b"]")
    except (ValueError, RecursionError):
        values = []
    return values if len(values) == len(lines) else [parse_line(line) for line in lines]


def parse_line(line: bytes) -> Any:
    """The value of one line, None if it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def last_step(record: Record) -> int:
    """The greatest step of the last rows."""
    steps = [column(rows[-1:], "step") for rows in record.rows.values()]
    return int(np.nanmax(np.concatenate([[0.0], *steps])))

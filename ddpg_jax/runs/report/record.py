"""A run as the report sees it: its settings and its rows, read while another process may be writing them."""

import json
from pathlib import Path
from typing import NamedTuple

from ddpg_jax.runs.directory import METRICS, Run, read_run
from ddpg_jax.runs.metrics import Row

KINDS = ("update", "episode", "evaluation", "probe", "restart")


class Record(NamedTuple):
    """What a run has written so far.

    Attributes:
        run: its directory, settings and versions.
        rows: by kind, in the order of their writing; a kind that has none is empty.
        unreadable: lines that are not rows; a last line that is still being written is not one of them.
    """

    run: Run
    rows: dict[str, list[Row]]
    unreadable: int


def read_record(path: Path) -> Record:
    """Read a run directory, changing nothing in it.

    Raises:
        ConfigError: if there is no run there.
    """
    run = read_run(path)
    rows: dict[str, list[Row]] = {kind: [] for kind in KINDS}
    unreadable = 0
    file = path / METRICS
    text = file.read_bytes() if file.exists() else b""
    whole, _, _ = text.rpartition(b"\n")
    for line in whole.splitlines():
        try:
            row = json.loads(line)
            rows[row["kind"]].append(row)
        except (ValueError, KeyError, TypeError):
            unreadable += 1
    return Record(run, rows, unreadable)

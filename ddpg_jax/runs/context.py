"""What every step of a training run needs, and how its metrics are written."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ddpg_jax.runs.console.errors import StoppedError
from ddpg_jax.runs.session import Session
from ddpg_jax.runs.storage.directory import METRICS
from ddpg_jax.runs.storage.keys import Keys
from ddpg_jax.runs.storage.metrics import Row, append_rows
from ddpg_jax.runs.storage.run_state import RunState
from ddpg_jax.training.runner import Runner


class Training(NamedTuple):
    """What every step of a training run needs.

    Attributes:
        session: the run.
        path: its directory.
        keys: of the whole run.
        stopped: `stopped()`, whether it was asked to stop.
        print_line: prints a line.
        seconds: of training so far.
        probe: `probe(runner) -> row`, the policy on states that stay the same.
        publish: `publish(rows)`, called once they are written.
    """

    session: Session
    path: Path
    keys: Keys
    stopped: Callable[[], bool]
    print_line: Callable[[str], None]
    seconds: Callable[[], float]
    probe: Callable[[Runner], Row]
    publish: Callable[[list[Row]], None]


def check_stop(training: Training) -> None:
    """Raise StoppedError if the run was asked to stop."""
    if training.stopped():
        raise StoppedError


def log(training: Training, state: RunState, rows: list[Row]) -> RunState:
    """Append rows to the metrics of the run."""
    if not rows:
        return state
    size = append_rows(training.path / METRICS, rows)
    training.publish(rows)
    return state._replace(progress=state.progress._replace(metrics_bytes=size, seconds=training.seconds()))

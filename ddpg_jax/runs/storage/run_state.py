"""The state of a run between two chunks, as a checkpoint saves and restores it."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.config import CheckpointConfig
from ddpg_jax.envs.protocol import Env, EnvError
from ddpg_jax.runs.console.errors import StorageError, as_run_error
from ddpg_jax.runs.storage import best_policy, checkpoint
from ddpg_jax.runs.storage.directory import METRICS
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.metrics import Means, append_rows, restart_row
from ddpg_jax.training.recovery import restart_episodes
from ddpg_jax.training.runner import Runner
from ddpg_jax.training.trainer import Trainer

# Steps that are played again for so long that a person should know.
MANY = 100_000


class Progress(NamedTuple):
    """What a run knows beside its arrays.

    Attributes:
        metrics_bytes: length of the metrics file; rows beyond it are written anew after a resume.
        seconds: of training and evaluation so far.
        evaluated: environment steps at the last evaluation, 0 before the first.
        evaluation: mean return of that evaluation.
        failures: of environments so far.
        exact_resume: False once an environment could not be brought back to where it was.
        last: return of the newest episode or evaluation.
        best: mean return of the best evaluation.
        best_step: environment steps at that one.
        means: of the updates since the last row of them.
    """

    metrics_bytes: int = 0
    seconds: float = 0.0
    evaluated: int = 0
    evaluation: float | None = None
    failures: int = 0
    exact_resume: bool = True
    last: float | None = None
    best: float | None = None
    best_step: int = 0
    means: Means = Means()

    def after_episodes(self, returns: list[float]) -> "Progress":
        """The same with further episodes of the training seen; a return that is not finite is none."""
        returns = [value for value in returns if math.isfinite(value)]
        return self._replace(last=returns[-1]) if returns else self

    def after_evaluation(self, step: int, mean_return: float) -> "Progress":
        """The same with a further evaluation seen, the best one if it is better than all before it."""
        seen = self._replace(evaluated=step, evaluation=mean_return, last=mean_return)
        better = self.best is None or mean_return > self.best
        return seen._replace(best=mean_return, best_step=step) if better else seen


class RunState(NamedTuple):
    """Everything of a run between two chunks: the loop's carry, and what the run knows beside it."""

    runner: Runner
    progress: Progress

    @property
    def step(self) -> int:
        """Environment steps so far."""
        return int(self.runner.step)


def make_saver(env: Env, path: Path, config: CheckpointConfig, begin: int) -> Callable[..., None]:
    """Build `save(state, now=True)`, which with `now=False` saves only when the settings say that it is time.

    Args:
        env: whose state outside of the arrays belongs to the checkpoint.
        path: the run directory.
        config: how often, and how many are kept.
        begin: environment steps at the newest checkpoint, or 0.
    """
    saved: tuple[int, Progress | None] = (begin, None)
    saved_at = time.monotonic()

    def due(step: int) -> bool:
        by_steps = config.every > 0 and step // config.every > saved[0] // config.every
        return by_steps or (config.minutes > 0 and time.monotonic() - saved_at >= 60 * config.minutes)

    def save(state: RunState, now: bool = True) -> None:
        nonlocal saved, saved_at
        this = (state.step, state.progress)
        if this == saved or not (now or due(state.step)):
            return
        host = env.save(np.asarray(state.runner.episode_length))
        progress = state.progress._asdict() | {"means": state.progress.means._asdict()}
        checkpoint.save(path, state.step, state.runner, host, progress, config.keep)
        saved, saved_at = this, time.monotonic()

    return save


def load_run_state(env: Env, trainer: Trainer, path: Path, warn: Callable[[str], None]) -> RunState | None:
    """Go back to the newest whole checkpoint of a run, or None if none was ever completed.

    Where an environment cannot be brought back to where it was, a new episode begins, and the run is marked.

    Args:
        env: is brought back to where it was.
        trainer: says which arrays are expected.
        path: the run directory; what killed processes left there unfinished is removed.
        warn: called with each line that a person should read.

    Raises:
        StorageError: if there are checkpoints and none can be used; nothing has then been changed.
        BrokenEnvError: if the environments cannot even start a new episode.
        StoppedError: if one of them asked to stop.
    """
    found = checkpoint.newest(path, warn)
    if found is None:
        if (path / METRICS).exists():
            raise StorageError(f"{path} has metrics, and its checkpoints are gone; there is nothing to go on from")
        checkpoint.clean(path)
        return None
    fault_point("resuming")
    like = jax.eval_shape(trainer.init, jax.random.key(0))
    runner = checkpoint.restore(found, like)
    progress = read_progress(found.progress)
    checkpoint.clean(path)
    checkpoint.set_aside(found)
    best_policy.forget_later(path, progress.evaluated)
    if progress.evaluated and progress.best is None:
        warn("an older version kept no policy of the evaluations so far; the best is that of later ones")
    progress = cut_metrics(path / METRICS, progress, warn)
    fault_point("cut")
    host, lengths = (found.path / checkpoint.HOST).read_bytes(), np.asarray(runner.episode_length)
    if host and lengths.sum() >= MANY:
        warn(f"the running episodes are played again, {lengths.sum():,} steps")
    try:
        restored = env.restore(runner.env, runner.obs, lengths, host)
    except EnvError as error:
        raise as_run_error(error, "while it was brought back: ") from error
    runner = restart_episodes(runner, trainer.replay, restored)
    if not restored.exact.all():
        warn(f"{restored.reason}; exact_resume: false")
        size = append_rows(path / METRICS, [restart_row(found.step, restored.reason)])
        progress = progress._replace(metrics_bytes=size, exact_resume=False)
    fault_point("restored")
    return RunState(runner, progress)


def read_progress(values: dict[str, Any]) -> Progress:
    """A progress from the JSON of a manifest.

    Raises:
        StorageError: if it is that of another program, or of another version of this one.
    """
    try:
        means = Means(**values["means"])
        # A sum too great for a float is null.
        finite_totals = {name: total for name, total in means.totals.items() if total is not None}
        # Where an older version wrote the greatest return of all, the policy that it was of is not kept.
        best = {} if "best_step" in values else {"best": None}
        return Progress(**values | best | {"means": means._replace(totals=finite_totals)})
    except (KeyError, TypeError) as error:
        raise StorageError(f"the checkpoint's progress is not what this version writes: {error}") from error


def cut_metrics(path: Path, progress: Progress, warn: Callable[[str], None]) -> Progress:
    """Cut the metrics back to what the checkpoint knew; the rows after it are written again."""
    size = path.stat().st_size if path.exists() else 0
    if size < progress.metrics_bytes:
        warn(f"{path} has {size:,} bytes, and had {progress.metrics_bytes:,} when it was saved: rows are missing")
        return progress._replace(metrics_bytes=size)
    if size > progress.metrics_bytes:
        with path.open("r+b") as file:
            file.truncate(progress.metrics_bytes)
    return progress

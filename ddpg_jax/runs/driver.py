"""Training as a person runs it: Python between chunks, for progress, metrics, evaluation, checkpoints and faults."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from rich.console import Console

from ddpg_jax.config import TrainConfig
from ddpg_jax.envs.protocol import EnvError, Restored
from ddpg_jax.runs.console.errors import BrokenEnvError, NumericalError, StoppedError, ended_by, is_interrupt
from ddpg_jax.runs.console.progress import Status, describe_playing, follow, make_patience, say
from ddpg_jax.runs.probe_states import make_prober
from ddpg_jax.runs.session import Session
from ddpg_jax.runs.storage.directory import METRICS, command
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.keys import Keys, make_keys
from ddpg_jax.runs.storage.metrics import (
    Means,
    Row,
    add_updates,
    append_rows,
    episode_rows,
    evaluation_row,
    restart_row,
    update_rows,
)
from ddpg_jax.runs.storage.point import Point, make_saver
from ddpg_jax.training.evaluation import Evaluation
from ddpg_jax.training.faults import Fault, fault_kind, faulty_envs, name_fault
from ddpg_jax.training.goal_check import FIRST_STEPS, reward_difference
from ddpg_jax.training.pace import FIRST, next_pace
from ddpg_jax.training.recovery import restart_episodes
from ddpg_jax.training.runner import Runner

# Suggested where the episodes of an evaluation do not end.
USUAL_EVAL_STEPS = 1_000


class Training(NamedTuple):
    """What a running training needs at every turn.

    Attributes:
        session: the run.
        path: its directory.
        keys: of the whole run.
        stopped: whether it shall end.
        say: prints a line.
        seconds: of training so far.
        probe: the row of a look at the policy now.
        publish: hands rows on, once they are written.
    """

    session: Session
    path: Path
    keys: Keys
    stopped: Callable[[], bool]
    say: Callable[[str], None]
    seconds: Callable[[], float]
    probe: Callable[[Runner], Row]
    publish: Callable[[list[Row]], None]


def train(
    session: Session,
    path: Path,
    point: Point,
    stopped: Callable[[], bool],
    console: Console,
    publish: Callable[[list[Row]], None] = lambda rows: None,
    sketch: Callable[[], str] = str,
) -> tuple[Point, Evaluation | None]:
    """Go on from a point to the end: chunk after chunk, with metrics, evaluations and checkpoints between.

    Args:
        session: as `prepare` made it.
        path: the run directory.
        point: where the run stands.
        stopped: asked about once a second; True ends the run after a checkpoint.
        console: where progress is shown.
        publish: called with all rows, once they are written.
        sketch: lines to show below the progress.

    Returns:
        The last point, and the evaluation of its policy, if it was made here.

    Raises:
        StoppedError: if it was asked to stop.
        BrokenEnvError: if the environments failed more often than `env_retries`.
        NumericalError: if gradients stayed non-finite, or an action was. In all three a checkpoint is written first,
            and the message says how to continue.
        StorageError: if metrics or a checkpoint cannot be written.
    """
    config, begin, before = session.config, time.perf_counter(), point.progress.seconds
    keys = make_keys(config.seed)
    training = Training(
        session,
        path,
        keys,
        stopped,
        lambda line: say(console, line),
        lambda: before + time.perf_counter() - begin,
        make_prober(path, session.trainer.replay, session.look, keys.probe),
        publish,
    )
    save = make_saver(session.env, path, config.checkpoint, point.step)
    evaluation, pace = None, FIRST * session.env.num_envs
    if point.step == 0:
        # So that a run which has metrics always has a checkpoint: one that has none was damaged.
        save(point)
    try:
        with follow(console, config.train.total_steps, sketch) as show:
            while not finished(config.train, point):
                check_stop(training)
                if evaluation_due(config.train, point):
                    point, evaluation = evaluate_at(training, point, show)
                else:
                    step, chunk_begin = point.step, time.perf_counter()
                    point = run_chunk(training, point, pace)
                    point = recover(training, point)
                    steps, seconds = point.step - step, time.perf_counter() - chunk_begin
                    pace = next_pace(pace, steps, seconds)
                    last, best = point.progress.last, point.progress.best
                    show(Status(point.step, config.train.total_steps, last, best, steps / seconds))
                save(point, now=False)
    except (StoppedError, BrokenEnvError, NumericalError) as error:
        save(point)
        where = f"after {point.step:,} steps; continue with: {command('resume', path, session.imports)}"
        raise type(error)(f"{error}; everything is saved {where}" if str(error) else f"stopped {where}") from error
    save(point)
    fault_point("finished")
    return point, evaluation if point.progress.evaluated == point.step else None


def finished(train: TrainConfig, point: Point) -> bool:
    """Whether all steps are taken and the last policy is evaluated, if it is to be."""
    return point.step >= train.total_steps and not evaluation_due(train, point)


def evaluation_due(train: TrainConfig, point: Point) -> bool:
    """Whether the policy is to be evaluated before the next step."""
    step, evaluated = point.step, point.progress.evaluated
    if final(train, point):
        return evaluated < step
    return train.eval_every > 0 and step // train.eval_every > evaluated // train.eval_every


def final(train: TrainConfig, point: Point) -> bool:
    """Whether the evaluation of this policy is the final one."""
    return point.step >= train.total_steps and train.final_eval_episodes > 0


def check_stop(training: Training) -> None:
    """Raise StoppedError if the run was asked to stop."""
    if training.stopped():
        raise StoppedError


def run_chunk(training: Training, point: Point, pace: int) -> Point:
    """Take some steps and write their rows.

    Where chunks end is a matter of time and changes nothing: every step's randomness comes from its own
    count, and the rows of updates end where `log_every` says.

    Args:
        training: the run.
        point: whose runner is donated.
        pace: steps to take at most; fewer where a row, an evaluation or a checkpoint is due.
    """
    config, progress, before = training.session.config, point.progress, point.step
    train = config.train
    periods = (train.log_every, train.eval_every, train.probe_every, config.checkpoint.every)
    num_steps = min(pace, train.total_steps - before, *(period - before % period for period in periods if period))
    runner, metrics = training.session.trainer.run(training.keys.run, point.runner, num_steps)
    step = int(runner.step)
    fault_point("stepped")
    rows, means = episode_rows(metrics), add_updates(progress.means, metrics)
    progress = progress.after_returns([row["return"] for row in rows])
    last = step >= train.total_steps
    if train.probe_every and (step // train.probe_every > before // train.probe_every or last) and runner.agent.step:
        rows.append(training.probe(runner))
    if step // train.log_every > before // train.log_every or last:
        rows += update_rows(means, step, training.seconds(), int(runner.agent.skipped.total))
        means = Means()
    point = log(training, Point(runner, progress._replace(means=means)), rows)
    fault_point("logged")
    if config.replay.hindsight != "none" and before < min(FIRST_STEPS, train.total_steps) <= step:
        check_goals(training, runner)
    return point


def check_goals(training: Training, runner: Runner) -> None:
    """Say if the reward of other goals is not that of the first steps."""
    session = training.session
    problem = reward_difference(session.env.spec, session.config.replay, session.env.num_envs, runner.replay)
    if problem:
        training.say(f"warning: {problem}")


def log(training: Training, point: Point, rows: list[Row]) -> Point:
    """Append rows to the metrics of the run."""
    if not rows:
        return point
    size = append_rows(training.path / METRICS, rows)
    training.publish(rows)
    return point._replace(progress=point.progress._replace(metrics_bytes=size, seconds=training.seconds()))


def evaluate_at(training: Training, point: Point, show: Callable[[Status], None]) -> tuple[Point, Evaluation | None]:
    """Evaluate the policy and write the row; without an evaluation if an environment failed and may try again.

    Args:
        training: the run.
        point: whose policy is evaluated.
        show: shows how far it is.

    Raises:
        StoppedError: if the run was asked to stop meanwhile.
        BrokenEnvError: if an environment failed.
    """
    train, step = training.session.config.train, point.step
    last = final(train, point)
    key = training.keys.final if last else jax.random.fold_in(training.keys.evaluate, step)
    evaluate = training.session.evaluate_final if last else training.session.evaluate
    fault_point("evaluating")
    try:
        evaluation = evaluate(key, point.runner.agent.params.actor, make_between(training, point, show))
    except FloatingPointError as error:
        raise NumericalError(f"in an evaluation: {error}") from error
    except EnvError as error:
        return take_back(training, retry(training, point, "in an evaluation: ", error)), None
    _, q = training.session.look(point.runner.agent.params, evaluation.first_obs)
    point = log(training, point, [evaluation_row(step, evaluation, np.asarray(q))])
    progress = point.progress.after_returns([float(evaluation.returns.mean(dtype=float))])._replace(evaluated=step)
    fault_point("evaluated")
    point = Point(point.runner, progress)
    return point if last else take_back(training, point), evaluation


def take_back(training: Training, point: Point) -> Point:
    """The same point, where the training's own environments played an evaluation with them back where they stood.

    One that cannot be brought back begins a new episode, as after a resume.

    Raises:
        BrokenEnvError: if one can neither be brought back nor begin anew.
    """
    if training.session.config.train.eval_envs:
        return point
    restored = restore(training, point)
    if restored.exact.all():
        return point
    if point.progress.exact_resume:
        training.say(f"{restored.reason}; exact_resume: false")
    point = log(training, point, [restart_row(point.step, restored.reason)])
    runner = restart_episodes(point.runner, training.session.trainer.replay, restored)
    return Point(runner, point.progress._replace(exact_resume=False))


def restore(training: Training, point: Point, renew: Sequence[int] = ()) -> Restored:
    """Bring the environments to where the runner stands in them.

    Raises:
        BrokenEnvError: if one can neither be brought back nor begin anew.
    """
    runner, env = point.runner, training.session.env
    lengths = np.asarray(runner.episode_length)
    try:
        return env.restore(runner.env, runner.obs, lengths, env.save(lengths), renew)
    except EnvError as error:
        raise ended_by(error) from error


def make_between(training: Training, point: Point, show: Callable[[Status], None]) -> Callable[[int, int], None]:
    """Build `between(steps, episodes)`, which an evaluation calls: it shows how far it is, and ends it on request."""
    train, progress = training.session.config.train, point.progress
    total = train.final_eval_episodes if final(train, point) else train.eval_episodes
    again = f"stop it, and go on with a limit: {command('resume', training.path, training.session.imports)}"
    wait = make_patience(training.say, f"{again} --train.eval-steps {USUAL_EVAL_STEPS}")

    def between(steps: int, episodes: int) -> None:
        check_stop(training)
        playing = describe_playing(steps, episodes, total)
        show(Status(point.step, train.total_steps, progress.last, progress.best, 0.0, playing))
        if train.eval_steps is None:
            wait(steps, episodes)

    return between


def recover(training: Training, point: Point) -> Point:
    """The same point while all is well; otherwise with the failed environments made anew, in new episodes.

    Raises:
        NumericalError: if gradients stayed non-finite, or an action was.
        BrokenEnvError: if an environment failed and has no retries left, or cannot be made anew.
        StoppedError: if an environment asked to stop.
    """
    runner, env = point.runner, training.session.env
    kind = fault_kind(runner)
    if kind == Fault.HEALTHY:
        return point
    if kind in (Fault.NOT_LEARNING, Fault.ACTION_NOT_FINITE):
        raise NumericalError(name_fault(runner))
    faulty = faulty_envs(runner)
    told = "; ".join([str(name_fault(runner)), *(f"it is {env.describe(i)}" for i in faulty)])
    failure = env.failure() or EnvError(told)
    point = retry(training, point, "", failure)
    restored = restore(training, point, faulty)
    if restored.exact.all():  # nothing could be made anew, so it would fail again
        raise BrokenEnvError(str(failure))
    return point._replace(runner=restart_episodes(runner, training.session.trainer.replay, restored))


def retry(training: Training, point: Point, where: str, error: Exception) -> Point:
    """Count a failure of an environment and note it in the metrics.

    Raises:
        BrokenEnvError: if `env_retries` are used up.
        StoppedError: if the environment asked to stop.
    """
    progress, retries, reason = point.progress, training.session.config.env_retries, f"{where}{error}"
    if progress.failures >= retries or is_interrupt(error):
        raise ended_by(error, where) from error
    training.say(f"{reason}; made anew ({progress.failures + 1} of {retries} retries)")
    point = point._replace(progress=progress._replace(failures=progress.failures + 1))
    return log(training, point, [restart_row(point.step, reason)])

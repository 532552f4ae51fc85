"""Training as a person runs it: Python between chunks, for progress, metrics, evaluation, checkpoints and faults."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ddpg_jax.config import TrainConfig
from ddpg_jax.runs.console.errors import BrokenEnvError, NumericalError, StoppedError
from ddpg_jax.runs.console.progress import Status, print_line, show_progress
from ddpg_jax.runs.context import Training, check_stop, log
from ddpg_jax.runs.evaluations import evaluate_policy, evaluation_due
from ddpg_jax.runs.failures import recover
from ddpg_jax.runs.probe_states import make_probe
from ddpg_jax.runs.session import Session
from ddpg_jax.runs.storage.directory import command
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.keys import make_keys
from ddpg_jax.runs.storage.metrics import Means, Row, add_updates, episode_rows, update_rows
from ddpg_jax.runs.storage.run_state import RunState, make_saver
from ddpg_jax.training.evaluation import Evaluation
from ddpg_jax.training.goal_check import FIRST_STEPS, reward_difference
from ddpg_jax.training.pace import FIRST, next_pace
from ddpg_jax.training.runner import Runner


def train(
    session: Session,
    path: Path,
    state: RunState,
    stopped: Callable[[], bool],
    console: Console,
    publish: Callable[[list[Row]], None] = lambda rows: None,
    sparklines: Callable[[], str] = str,
) -> tuple[RunState, Evaluation | None]:
    """Go on from a state to the end: chunk after chunk, with metrics, evaluations and checkpoints between.

    Args:
        session: as `prepare` made it.
        path: the run directory.
        state: of the run, at its start or as it was loaded.
        stopped: asked about once a second; True ends the run after a checkpoint.
        console: where progress is shown.
        publish: called with all rows, once they are written.
        sparklines: lines to show below the progress.

    Returns:
        The last state, and the evaluation of its policy, if it was made here.

    Raises:
        StoppedError: if it was asked to stop.
        BrokenEnvError: if the environments failed more often than `env_retries`.
        NumericalError: if gradients stayed non-finite, or an action was. In all three a checkpoint is written first,
            and the message says how to continue.
        StorageError: if metrics or a checkpoint cannot be written.
    """
    config = session.config
    training = make_training(session, path, state, stopped, console, publish)
    save = make_saver(session.env, path, config.checkpoint, state.step)
    evaluation, pace = None, FIRST * session.env.num_envs
    if state.step == 0:
        # So that a run which has metrics always has a checkpoint: one that has none was damaged.
        save(state)
    try:
        with show_progress(console, config.train.total_steps, sparklines) as show:
            while not is_finished(config.train, state):
                check_stop(training)
                if evaluation_due(config.train, state):
                    state, evaluation = evaluate_policy(training, state, show)
                else:
                    before, begin = state.step, time.perf_counter()
                    state = run_chunk(training, state, pace)
                    state = recover(training, state)  # if it raises, what the chunk left is saved below
                    pace = show_chunk(training, state, pace, before, begin, show)
                save(state, now=False)
    except (StoppedError, BrokenEnvError, NumericalError) as error:
        save(state)
        where = f"after {state.step:,} steps; continue with: {command('resume', path, session.imports, config)}"
        raise type(error)(f"{error}; everything is saved {where}" if str(error) else f"stopped {where}") from error
    save(state)
    fault_point("finished")
    return state, evaluation if state.progress.evaluated == state.step else None


def make_training(
    session: Session,
    path: Path,
    state: RunState,
    stopped: Callable[[], bool],
    console: Console,
    publish: Callable[[list[Row]], None],
) -> Training:
    """Put together what every step of the run needs; arguments as of `train`."""
    keys, begin, before = make_keys(session.config.seed), time.perf_counter(), state.progress.seconds
    return Training(
        session,
        path,
        keys,
        stopped,
        print_line=lambda line: print_line(console, line),
        seconds=lambda: before + time.perf_counter() - begin,
        probe=make_probe(path, session.trainer.replay, session.act_and_value, keys.probe),
        publish=publish,
    )


def is_finished(train: TrainConfig, state: RunState) -> bool:
    """Whether all steps are taken and the last policy is evaluated, if it is to be."""
    return state.step >= train.total_steps and not evaluation_due(train, state)


def show_chunk(
    training: Training, state: RunState, pace: int, before: int, begin: float, show: Callable[[Status], None]
) -> int:
    """Show how far the run is after a chunk, and choose the steps of the next.

    Args:
        training: the run.
        state: after the chunk.
        pace: steps that were allowed.
        before: environment steps before the chunk.
        begin: when it began, by `time.perf_counter`.
        show: shows a status.
    """
    steps, seconds = state.step - before, time.perf_counter() - begin
    last, best = state.progress.last, state.progress.best
    show(Status(state.step, training.session.config.train.total_steps, last, best, steps / seconds))
    return next_pace(pace, steps, seconds)


def run_chunk(training: Training, state: RunState, pace: int) -> RunState:
    """Take some steps and write their rows.

    Where chunks end is a matter of time and changes nothing: every step's randomness comes from its own
    count, and the rows of updates end where `log_every` says.

    Args:
        training: the run.
        state: of the run; its runner is donated.
        pace: steps to take at most; fewer where a row, an evaluation or a checkpoint is due.
    """
    config, progress, before = training.session.config, state.progress, state.step
    train = config.train
    periods = (train.log_every, train.eval_every, train.probe_every, config.checkpoint.every)
    num_steps = min(pace, train.total_steps - before, *(period - before % period for period in periods if period))
    runner, metrics = training.session.trainer.run(training.keys.run, state.runner, num_steps)
    step = int(runner.step)
    fault_point("stepped")
    rows, means = episode_rows(metrics), add_updates(progress.means, metrics)
    progress = progress.after_episodes([row["return"] for row in rows])
    last = step >= train.total_steps
    if train.probe_every and (step // train.probe_every > before // train.probe_every or last) and runner.agent.step:
        rows.append(training.probe(runner))
    if step // train.log_every > before // train.log_every or last:
        rows += update_rows(means, step, training.seconds(), int(runner.agent.skipped.total))
        means = Means()
    state = log(training, RunState(runner, progress._replace(means=means)), rows)
    fault_point("logged")
    if config.replay.hindsight != "none" and before < min(FIRST_STEPS, train.total_steps) <= step:
        check_goals(training, runner)
    return state


def check_goals(training: Training, runner: Runner) -> None:
    """Say if the reward of other goals is not that of the first steps."""
    session = training.session
    problem = reward_difference(session.env.spec, session.config.replay, session.env.num_envs, runner.replay)
    if problem:
        training.print_line(f"warning: {problem}")

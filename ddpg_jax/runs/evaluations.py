"""Evaluations during a training run: when they are due, and what they change."""

from collections.abc import Callable

import jax
import numpy as np

from ddpg_jax.config import TrainConfig
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.runs.console.errors import NumericalError
from ddpg_jax.runs.console.progress import Status, describe_playing, make_stall_warning
from ddpg_jax.runs.context import Training, check_stop, log
from ddpg_jax.runs.failures import count_failure, restore
from ddpg_jax.runs.storage import best_policy
from ddpg_jax.runs.storage.directory import command
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.metrics import evaluation_row, restart_row
from ddpg_jax.runs.storage.run_state import RunState
from ddpg_jax.training.evaluation import Evaluation
from ddpg_jax.training.recovery import restart_episodes

# Suggested where the episodes of an evaluation do not end.
USUAL_EVAL_STEPS = 1_000


def evaluation_due(train: TrainConfig, state: RunState) -> bool:
    """Whether the policy is to be evaluated before the next step."""
    step, evaluated = state.step, state.progress.evaluated
    if is_final(train, state):
        return evaluated < step
    return train.eval_every > 0 and step // train.eval_every > evaluated // train.eval_every


def is_final(train: TrainConfig, state: RunState) -> bool:
    """Whether the evaluation of this policy is the final one."""
    return state.step >= train.total_steps and train.final_eval_episodes > 0


def evaluate_policy(
    training: Training, state: RunState, show: Callable[[Status], None]
) -> tuple[RunState, Evaluation | None]:
    """Evaluate the policy and write the row; without an evaluation if an environment failed and may try again.

    Args:
        training: the run.
        state: of the run, whose policy is evaluated.
        show: shows how far it is.

    Raises:
        StoppedError: if the run was asked to stop meanwhile.
        BrokenEnvError: if an environment failed.
        StorageError: if the row, or the best policy, cannot be written.
    """
    train, step = training.session.config.train, state.step
    last = is_final(train, state)
    key = training.keys.final if last else jax.random.fold_in(training.keys.evaluate, step)
    evaluate = training.session.evaluate_final if last else training.session.evaluate
    fault_point("evaluating")
    try:
        evaluation = evaluate(key, state.runner.agent.params.actor, make_on_progress(training, state, show))
    except FloatingPointError as error:
        raise NumericalError(f"in an evaluation: {error}") from error
    except EnvError as error:
        return restore_after_evaluation(training, count_failure(training, state, "in an evaluation: ", error)), None
    _, q = training.session.act_and_value(state.runner.agent.params, evaluation.first_obs)
    state = log(training, state, [evaluation_row(step, evaluation, np.asarray(q))])
    fault_point("evaluated")
    state = keep_best(training, state, float(evaluation.returns.mean(dtype=float)))
    return state if last else restore_after_evaluation(training, state), evaluation


def keep_best(training: Training, state: RunState, mean_return: float) -> RunState:
    """The state after an evaluation of that mean return; if it is the best so far, its policy is kept."""
    progress = state.progress.after_evaluation(state.step, mean_return)
    if progress.best_step == state.step:
        best_policy.save(training.path, state.step, state.runner.agent, mean_return)
    return RunState(state.runner, progress)


def restore_after_evaluation(training: Training, state: RunState) -> RunState:
    """The same state, where the training's own environments played an evaluation with these back where they were.

    One that cannot be brought back begins a new episode, as after a resume.

    Raises:
        BrokenEnvError: if one can neither be brought back nor begin anew.
    """
    if training.session.config.train.eval_envs:
        return state
    restored = restore(training, state)
    if restored.exact.all():
        return state
    if state.progress.exact_resume:
        training.print_line(f"{restored.reason}; exact_resume: false")
    state = log(training, state, [restart_row(state.step, restored.reason)])
    runner = restart_episodes(state.runner, training.session.trainer.replay, restored)
    return RunState(runner, state.progress._replace(exact_resume=False))


def make_on_progress(training: Training, state: RunState, show: Callable[[Status], None]) -> Callable[[int, int], None]:
    """Build `on_progress(steps, episodes)`, which an evaluation calls: it shows progress, and ends it on request."""
    train, progress = training.session.config.train, state.progress
    total = train.final_eval_episodes if is_final(train, state) else train.eval_episodes
    again = command("resume", training.path, training.session.imports, training.session.config)
    limited = f"stop it, and go on with a limit: {again} --train.eval-steps {USUAL_EVAL_STEPS}"
    wait = make_stall_warning(training.print_line, limited)

    def on_progress(steps: int, episodes: int) -> None:
        check_stop(training)
        playing = describe_playing(steps, episodes, total)
        show(Status(state.step, train.total_steps, progress.last, progress.best, 0.0, playing))
        if train.eval_steps is None:
            wait(steps, episodes)

    return on_progress

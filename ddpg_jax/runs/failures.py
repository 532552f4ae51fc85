"""Failures during a training run: which are survived, and how it goes on after one."""

from collections.abc import Sequence

import numpy as np

from ddpg_jax.envs.protocol import EnvError, Restored
from ddpg_jax.runs.console.errors import BrokenEnvError, NumericalError, as_run_error, is_interrupt
from ddpg_jax.runs.context import Training, log
from ddpg_jax.runs.storage.metrics import restart_row
from ddpg_jax.runs.storage.run_state import RunState
from ddpg_jax.training.faults import Fault, fault_kind, faulty_envs, name_fault
from ddpg_jax.training.recovery import restart_episodes


def recover(training: Training, state: RunState) -> RunState:
    """The same state while all is well; otherwise with the failed environments made anew, in new episodes.

    Raises:
        NumericalError: if gradients stayed non-finite, or an action was.
        BrokenEnvError: if an environment failed and has no retries left, or cannot be made anew.
        StoppedError: if an environment asked to stop.
    """
    runner, env = state.runner, training.session.env
    kind = fault_kind(runner)
    if kind == Fault.HEALTHY:
        return state
    if kind in (Fault.NOT_LEARNING, Fault.ACTION_NOT_FINITE):
        raise NumericalError(name_fault(runner))
    faulty = faulty_envs(runner)
    description = "; ".join([str(name_fault(runner)), *(f"it is {env.describe(i)}" for i in faulty)])
    failure = env.failure() or EnvError(description)
    state = count_failure(training, state, "", failure)
    restored = restore(training, state, faulty)
    if restored.exact.all():  # nothing could be made anew, so it would fail again
        raise BrokenEnvError(str(failure))
    return state._replace(runner=restart_episodes(runner, training.session.trainer.replay, restored))


def count_failure(training: Training, state: RunState, where: str, error: Exception) -> RunState:
    """Count a failure of an environment and note it in the metrics.

    Raises:
        BrokenEnvError: if `env_retries` are used up.
        StoppedError: if the environment asked to stop.
    """
    progress, retries, reason = state.progress, training.session.config.env_retries, f"{where}{error}"
    if progress.failures >= retries or is_interrupt(error):
        raise as_run_error(error, where) from error
    training.print_line(f"{reason}; made anew ({progress.failures + 1} of {retries} retries)")
    state = state._replace(progress=progress._replace(failures=progress.failures + 1))
    return log(training, state, [restart_row(state.step, reason)])


def restore(training: Training, state: RunState, renew: Sequence[int] = ()) -> Restored:
    """Bring the environments to where the runner stands in them.

    Raises:
        BrokenEnvError: if one can neither be brought back nor begin anew.
    """
    runner, env = state.runner, training.session.env
    lengths = np.asarray(runner.episode_length)
    try:
        return env.restore(runner.env, runner.obs, lengths, env.save(lengths), renew)
    except EnvError as error:
        raise as_run_error(error) from error

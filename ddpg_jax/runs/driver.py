"""Training as a person runs it: Python between chunks, for progress, metrics, evaluation and signals."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import jax
from rich.console import Console

from ddpg_jax import envs
from ddpg_jax.config import Config, validate
from ddpg_jax.envs.protocol import Env, EnvError
from ddpg_jax.runs.directory import METRICS, create_run, save_params
from ddpg_jax.runs.metrics import Row, append_rows, chunk_rows, evaluation_row
from ddpg_jax.runs.progress import Status, follow
from ddpg_jax.training.evaluation import Evaluation, make_evaluate
from ddpg_jax.training.loop import Runner, Trainer, make_trainer, name_fault
from ddpg_jax.types import Key

EVAL_ENVS = 10
# Keys of the driver are folded from the step count; this one is beyond every step.
FINAL = 2**31


class BrokenEnvError(EnvError):
    """Environments that failed while training; what was learned is saved."""


class Session(NamedTuple):
    """Everything of a run that is made before anything is written.

    Attributes:
        config: the settings.
        env: the environments it acts in.
        trainer: the loop on them.
        evaluate: `evaluate(key, actor_params)` while training, in environments of its own.
        evaluate_final: the same with `final_eval_episodes`.
        close: closes all environments.
    """

    config: Config
    env: Env
    trainer: Trainer
    evaluate: Callable[..., Evaluation]
    evaluate_final: Callable[..., Evaluation]
    close: Callable[[], None]


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        step: environment steps taken.
        evaluation: of the last policy, None if the run was stopped.
    """

    step: int
    evaluation: Evaluation | None


def prepare(config: Config) -> Session:
    """Check the settings and make the environments; nothing is compiled or written.

    Raises:
        ConfigError: naming every setting that cannot be used.
        EnvError: if the environment cannot be made or used.
    """
    train = validate(config).train
    env = envs.make(config.env, train.num_envs)
    trainer = make_trainer(env, config)
    eval_env = envs.make(config.env, EVAL_ENVS)

    def close() -> None:
        env.close()
        eval_env.close()

    evaluate = make_evaluate(eval_env, trainer.agent.act, train.eval_episodes)
    evaluate_final = make_evaluate(eval_env, trainer.agent.act, train.final_eval_episodes)
    return Session(config, env, trainer, evaluate, evaluate_final, close)


def train(session: Session, path: Path, preset: str, console: Console) -> Outcome:
    """Run the training, write its metrics and final parameters, and evaluate the last policy.

    An interrupt ends it after the running chunk, with the parameters saved and no evaluation.

    Args:
        session: as `prepare` made it.
        path: the run directory, which must not exist.
        preset: name to note beside the settings.
        console: where progress is shown.

    Raises:
        ConfigError: if the directory exists.
        BrokenEnvError: if the environments failed; the parameters are saved first.
    """
    create_run(path, session.config, preset)
    key = jax.random.key(session.config.seed)
    with interruptible() as interrupted, follow(console, session.config.train.total_steps) as show:
        for chunk in chunks(session, key):
            append_rows(path / METRICS, chunk.rows)
            show(chunk.status)
            if interrupted():
                break
        runner = chunk.runner
        save_params(path, runner.agent.params)
        step, fault = int(runner.step), name_fault(runner)
        if fault:
            raise BrokenEnvError(f"{session.env.failure() or fault}; parameters after {step:,} steps are in {path}")
        if interrupted():
            return Outcome(step, None)
    evaluation = session.evaluate_final(jax.random.fold_in(key, FINAL), runner.agent.params.actor)
    append_rows(path / METRICS, [evaluation_row(step, evaluation)])
    return Outcome(step, evaluation)


class Chunk(NamedTuple):
    """What one chunk left: the runner, what to log, and what to show."""

    runner: Runner
    rows: list[Row]
    status: Status


def chunks(session: Session, key: Key) -> Iterator[Chunk]:
    """Run chunk after chunk, to the end or a fault.

    Chunks end where an evaluation is due; since every step's randomness comes from its own count,
    where they end changes nothing that is learned.
    """
    init_key, run_key, eval_key = jax.random.split(key, 3)
    train, begin = session.config.train, time.perf_counter()
    step, last, best = 0, None, None
    runner = session.trainer.init(init_key)
    if session.env.failure():
        raise BrokenEnvError(str(session.env.failure()))
    while step < train.total_steps and not int(runner.fault):
        chunk_begin, before = time.perf_counter(), step
        until_eval = train.eval_every - step % train.eval_every if train.eval_every else train.log_every
        num_steps = min(train.log_every, until_eval, train.total_steps - step)
        runner, metrics = session.trainer.run(run_key, runner, num_steps)
        step, now = int(runner.step), time.perf_counter()
        rows = chunk_rows(metrics, now - begin)
        returns = [row["return"] for row in rows if row["kind"] == "episode"]
        if train.eval_every and step // train.eval_every > before // train.eval_every and step < train.total_steps:
            evaluation = session.evaluate(jax.random.fold_in(eval_key, step), runner.agent.params.actor)
            rows.append(evaluation_row(step, evaluation))
            returns.append(float(evaluation.returns.mean()))
        last = returns[-1] if returns else last
        best = max(returns + ([] if best is None else [best]), default=None)
        rate = (step - before) / (now - chunk_begin)
        yield Chunk(runner, rows, Status(step, train.total_steps, last, best, rate))


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield `interrupted()`; the first SIGINT only makes it True, a second one acts as usual."""
    caught = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal caught
        caught = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: caught
    finally:
        signal.signal(signal.SIGINT, before)

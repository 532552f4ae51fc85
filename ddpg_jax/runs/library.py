"""Runs from Python: the directories, checkpoints, metrics and reports of the command line, and callbacks."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
from rich.console import Console

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.state import Agent, Params
from ddpg_jax.config import GIVEN_ENV, Config, ConfigError, shown, validate
from ddpg_jax.envs.own_code import name_code
from ddpg_jax.envs.protocol import Env, check_env
from ddpg_jax.runs.commands.resume import check_total_steps, load_or_begin, with_changes
from ddpg_jax.runs.commands.train import default_run_dir, load_demonstrations, resolve_env, run_to_end
from ddpg_jax.runs.console.errors import StoppedError
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.console.signals import interrupt_requests
from ddpg_jax.runs.driver import is_finished
from ddpg_jax.runs.environments import make_env
from ddpg_jax.runs.report.write import write_report
from ddpg_jax.runs.session import Session, prepare, start
from ddpg_jax.runs.storage.checkpoint import evaluation_of, read
from ddpg_jax.runs.storage.choice import LAST, choose
from ddpg_jax.runs.storage.directory import (
    Run,
    check_new,
    check_x64,
    create_run,
    lock_run,
    read_run,
    read_settings,
    write_settings,
)
from ddpg_jax.runs.storage.metrics import Row
from ddpg_jax.runs.storage.named_code import NOTHING, unknown_code
from ddpg_jax.runs.storage.run_state import RunState
from ddpg_jax.training.evaluation import Evaluation

# Settings of environments that `config.env` names.
OF_ID = ("env_kwargs", "wrappers", "max_episode_steps", "env_timeout")
Callback = Callable[[list[Row]], None]


class Result(NamedTuple):
    """A run that came to its end.

    Attributes:
        path: its directory.
        step: environment steps that it has taken.
        evaluation: of its last policy; None where it was not made now, as in a run that had already finished.
        best: mean return of the best evaluation, in the environment's unit; None where there was none.
        best_step: environment steps at the best evaluation.
    """

    path: Path
    step: int
    evaluation: Evaluation | None
    best: float | None
    best_step: int


class Loaded(NamedTuple):
    """What a run has learned.

    Attributes:
        config: the settings of the run.
        agent: `agent.act(params.actor, obs [B, O]) -> action [B, A]` in [-1, 1] is its policy.
        params: of actor and critics, with their running statistics.
        step: environment steps after which they were saved.
        mean_return: of the evaluation at that step, in the environment's unit; None where there was none.
    """

    config: Config
    agent: Agent
    params: Params
    step: int
    mean_return: float | None


def train(
    config: Config,
    env: Env | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    callbacks: Sequence[Callback] = (),
    eval_env: Env | None = None,
) -> Result:
    """Train in a new run directory, as `ddpg-jax train` does, to the same bits; each goes on with what the other began.

    Ctrl-C ends the run with everything saved and then raises KeyboardInterrupt, as it would without a run; a second
    one does not wait. All other signals, and those outside of the main thread, are left alone.

    Args:
        config: the settings.
        env: environments of yours to train in, in place of those that `config.env` names. Their number is that of the
            run, they are not closed, and who goes on with the run has to give them again.
        run_dir: new directory; by default one below runs/.
        callbacks: functions of the rows of metrics, called between chunks with those that are new. One that raises
            ends the run with everything saved, and its exception is raised.
        eval_env: environments to play the evaluations in, beside `env`; by default `env` itself, whose episodes are
            then brought back to where they were.

    Returns:
        Where it is, and what it came to.

    Raises:
        ConfigError: naming every setting that cannot be used, or if `run_dir` is there already.
        EnvError: if the environments cannot be used, or failed; what was learned before is saved.
        KeyboardInterrupt: if it was interrupted, with what goes on.
    """
    config, imports = resolve_env(with_env(config, env, eval_env), ())
    path = Path(run_dir) if run_dir is not None else default_run_dir(config)
    check_new(path)
    with supervised(path, callbacks) as watch, contextlib.closing(prepare(config, env, eval_env)) as session:
        session = session._replace(imports=imports)
        state = start(session, load_demonstrations(session, watch.console))
        create_run(path, config, None, imports)
        with lock_run(path):
            return finish(session, path, state, watch)


def resume(
    run_dir: str | os.PathLike[str],
    env: Env | None = None,
    callbacks: Sequence[Callback] = (),
    eval_env: Env | None = None,
    total_steps: int | None = None,
    code: Sequence[str] = (),
) -> Result:
    """Go on with a run from its newest whole checkpoint, as `ddpg-jax resume` does, to the same bits.

    Args:
        run_dir: directory of the run, by whomever it was begun.
        env: environments of yours, if it was trained in such.
        callbacks: as of `train`.
        eval_env: as of `train`.
        total_steps: environment steps of the whole run, for one that shall go on beyond its end.
        code: names of code of yours that the run needs, as "my_envs.py:MyEnv"; it is imported.

    Returns:
        Where it is, and what it came to.

    Raises:
        ConfigError: if there is no run, it needs an `env`, or it has taken more steps than `total_steps`.
        EnvError: as of `train`.
        KeyboardInterrupt: as of `train`.
    """
    path = Path(run_dir)
    run = with_changes(open_run(path, env, code), {"total_steps": total_steps})
    if env is not None:
        run = run._replace(config=with_env(run.config, env, eval_env))
    if total_steps is not None:
        check_total_steps(run)
    with (
        supervised(path, callbacks) as watch,
        lock_run(path),
        contextlib.closing(prepare(run.config, env, eval_env)) as session,
    ):
        write_settings(run)
        state = load_or_begin(session, run, watch.console)
        if is_finished(run.config.train, state):
            return Result(path, state.step, None, state.progress.best, state.progress.best_step)
        return finish(session, path, state, watch)


def load(
    run_dir: str | os.PathLike[str], checkpoint: str | int = LAST, env: Env | None = None, code: Sequence[str] = ()
) -> Loaded:
    """Read what a run has learned; the run is only read, and may still be training.

    Args:
        run_dir: directory of the run.
        checkpoint: "last", "best" (of the best evaluation), or the step of a checkpoint that is kept.
        env: environments of yours, if it was trained in such.
        code: as of `resume`.

    Raises:
        ConfigError: if there is no such run or checkpoint, or it needs an `env` or `code`.
    """
    path = Path(run_dir)
    config = open_run(path, env, code).config
    with contextlib.ExitStack() as stack:
        if env is None:
            env = stack.enter_context(contextlib.closing(make_env(config, config.train.num_envs)))
        agent = ddpg(env.spec, config.agent, None, env.num_envs, config.replay.discount)
    like = jax.eval_shape(agent.init, jax.random.key(0)).params
    found, params = read(lambda: choose(path, checkpoint, say), like, "agent.params.")
    return Loaded(config, agent, params, found.step, evaluation_of(found))


class Watch(NamedTuple):
    """What a run is watched by.

    Attributes:
        console: where progress is shown.
        stopped: `stopped()`, whether it was interrupted, or a callback raised.
        publish: `publish(rows)`, which calls the callbacks.
    """

    console: Console
    stopped: Callable[[], bool]
    publish: Callable[[list[Row]], None]


@contextlib.contextmanager
def supervised(path: Path, callbacks: Sequence[Callback]) -> Iterator[Watch]:
    """Watch a run: what a callback raised is raised when everything is saved, and so is an interrupt."""
    raised: list[BaseException] = []

    def publish(rows: list[Row]) -> None:
        if raised:
            return
        try:
            for callback in callbacks:
                callback(rows)
        except BaseException as error:  # the rows come from the midst of the loop, whose state has to come back whole
            raised.append(error)

    with interrupt_requests() as interrupted:
        try:
            yield Watch(Console(), lambda: interrupted() or bool(raised), publish)
        except StoppedError as stop:
            if not raised:
                again = f"ddpg_jax.runs.resume({str(path)!r})"
                raise KeyboardInterrupt(f"everything is saved; go on with {again}") from stop
    if raised:
        raise raised[0]


def finish(session: Session, path: Path, state: RunState, watch: Watch) -> Result:
    """Train to the end and write the report."""
    state, evaluation = run_to_end(session, path, state, watch.stopped, watch.console, watch.publish)
    write_report((path,))
    return Result(path, state.step, evaluation, state.progress.best, state.progress.best_step)


def with_env(config: Config, env: Env | None, eval_env: Env | None) -> Config:
    """The settings as they are true of environments that are given; as they are where none is.

    Raises:
        ConfigError: if they cannot be true of these.
        EnvError: if one is no `Env`.
    """
    if env is None:
        if eval_env is not None:
            raise ConfigError("eval_env needs an env beside it, which is trained in")
        return config
    check_env(env)
    of_id = {name: getattr(config, name) for name in OF_ID}
    if any(value != getattr(Config(), name) for name, value in of_id.items()):
        raise ConfigError(f"{', '.join(OF_ID)} are of environments that are made by an id; set these on the env given")
    if eval_env is not None:
        check_env(eval_env)
    elif env.share is None and config.train.eval_steps is not None:
        raise ConfigError(
            f"train.eval_steps = {config.train.eval_steps} cannot cut the episodes of an env that is compiled; let it "
            "cut them by itself, or give an eval_env that does"
        )
    num_eval_envs = eval_env.num_envs if eval_env is not None else 0
    train = replace(config.train, num_envs=env.num_envs, eval_envs=num_eval_envs)
    return validate(replace(config, env=GIVEN_ENV, train=train))


def open_run(path: Path, env: Env | None, code: Sequence[str]) -> Run:
    """A run whose environment is known here, or given, once the code that a person names is imported."""
    for name in code:
        name_code(name)
    if env is None:
        missing = unknown_code(read_settings(path).config, NOTHING)
        if missing:
            raise ConfigError(
                f"{path} needs {', '.join(map(shown, missing))}, code that a file alone never lets run; "
                f"if you trust it, name it here: code={missing}"
            )
        run = read_run(path)
    else:
        check_env(env)
        run = read_settings(path)
    check_x64(run)
    return run


def say(line: str) -> None:
    """Print a line."""
    print_line(Console(), line)

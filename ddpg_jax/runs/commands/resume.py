"""`ddpg-jax resume`: go on with a run; what brings its state back is `load_run_state` of storage/run_state.py."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from ddpg_jax.config import Config, ConfigError, validate
from ddpg_jax.runs.commands.train import load_demonstrations, print_setup, train_to_end
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import EnvAgain, Imports, WrappersAgain, parse
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.console.signals import stop_requests
from ddpg_jax.runs.driver import is_finished
from ddpg_jax.runs.report.settings import flat_settings
from ddpg_jax.runs.session import Session, prepare, start
from ddpg_jax.runs.storage.checkpoint import complete, step_of
from ddpg_jax.runs.storage.directory import (
    CHECKPOINTS,
    Run,
    check_writable,
    check_x64,
    command,
    lock_run,
    read_run,
    versions,
    write_settings,
)
from ddpg_jax.runs.storage.named_code import Named, import_named
from ddpg_jax.runs.storage.run_state import RunState, load_run_state
from ddpg_jax.runs.warm_start import Beginning, begin_with


def resume(args: list[str], console: Console) -> int:
    """`ddpg-jax resume RUN`: go on from the newest whole checkpoint, to the bit."""

    def options(
        run: tyro.conf.Positional[Path],
        live: bool = False,
        eval_steps: Annotated[int | None, tyro.conf.arg(name="train.eval-steps")] = None,
        final_eval_episodes: Annotated[int | None, tyro.conf.arg(name="train.final-eval-episodes")] = None,
        total_steps: Annotated[int | None, tyro.conf.arg(name="train.total-steps")] = None,
        imports: Imports = (),
        env: EnvAgain = None,
        wrappers: WrappersAgain = (),
    ) -> tuple[Path, bool, dict[str, int | None], Named]:
        """Go on with a run that was stopped, killed, or failed, or that shall be longer.

        Args:
            run: run directory of the training.
            live: show the figures while it trains, on a page for this machine alone.
            eval_steps: from now on, steps after which an episode of an evaluation is cut.
            final_eval_episodes: from now on, episodes of the evaluation of the final policy; 0 leaves it out.
            total_steps: environment steps of the whole run, for one that shall go on beyond its end.
            imports: module or file that registers the environment, to be imported first.
            env: the run's environment again, where it is code of yours.
            wrappers: those of its wrappers again that are code of yours.
        """
        changes = {"eval_steps": eval_steps, "final_eval_episodes": final_eval_episodes, "total_steps": total_steps}
        return run, live, changes, Named(imports, env, wrappers)

    path, live, changes, named = parse(options, "resume", args)
    check_writable(path)
    named = import_named(named)
    run = with_changes(read_run(path, named), changes)
    check_x64(run)
    if changes["total_steps"] is not None:
        check_total_steps(run)
        print_schedules(run.config, console)
    with stop_requests() as stopped, lock_run(path), contextlib.closing(prepare(run.config)) as session:
        session = session._replace(imports=named.imports)
        write_settings(run)
        found = load_or_begin(session, run, console)
        if is_finished(run.config.train, found):
            again = command("evaluate", path, named.imports, run.config)
            longer = f"or go on: {command('resume', path, named.imports, run.config)} --train.total-steps N"
            print_line(console, f"{path} has already finished, after {found.step:,} steps; see: {again}, {longer}")
            return DONE
        print_line(console, f"{run.config.env}, seed {run.config.seed}, going on after {found.step:,} steps")
        print_setup(console, session, path)
        return train_to_end(session, path, found, stopped, console, live)


def load_or_begin(session: Session, run: Run, console: Console) -> RunState:
    """The state of a run at its newest whole checkpoint, or at its first step if none was ever completed."""
    for line in version_differences(run.versions):
        print_line(console, line)
    found = load_run_state(session.env, session.trainer, run.path, lambda line: print_line(console, line))
    if found is not None:
        return found
    print_line(console, f"no checkpoint was completed in {run.path}; beginning at step 0")
    say = lambda line: print_line(console, line)  # noqa: E731
    _, begin = begin_with(beginning_of(run), session.trainer, run.config, say)
    return start(session, load_demonstrations(session, console), begin)


def with_changes(run: Run, changes: dict[str, int | None]) -> Run:
    """The run with another length or other evaluations, which change no step; None leaves a setting as it is."""
    given = {name: value for name, value in changes.items() if value is not None}
    return run._replace(config=replace(run.config, train=replace(run.config.train, **given)))


def check_total_steps(run: Run) -> None:
    """Raise ConfigError if a run has already taken more steps than it shall have, or their number is none."""
    total = validate(run.config).train.total_steps
    for path in complete(run.path / CHECKPOINTS)[-1:]:
        if total < step_of(path):
            raise ConfigError(
                f"train.total_steps = {total} must be at least {step_of(path)}, the steps that {run.path} has taken"
            )


def print_schedules(config: Config, console: Console) -> None:
    """Say which settings count steps or updates from the start of a run, whatever its length."""
    kept = ("agent.lr_decay_updates", "exploration.decay_steps", "exploration.decay_rate")
    settings, defaults = flat_settings(config), flat_settings(Config())
    changed = [f"{name} = {settings[name]}" for name in kept if settings[name] != defaults[name]]
    if changed:
        print_line(console, f"schedules go on as they were, and are not stretched: {', '.join(changed)}")


def beginning_of(run: Run) -> Beginning:
    """What a run began with, which is needed again where it was killed before its first checkpoint."""
    origin = run.origin
    return Beginning(Path(origin.run), str(origin.step), origin.replay) if origin else Beginning()


def version_differences(made_with: dict[str, Any]) -> list[str]:
    """A line if a run was made with other versions or elsewhere, which changes bits; of what it holds no word, none."""
    now = versions()
    changed = [
        f"{name} {made_with[name]} then, {now[name]} now" for name in now if made_with.get(name, now[name]) != now[name]
    ]
    return [f"not the same bits as without the interruption: {', '.join(changed)}"] if changed else []

"""`ddpg-jax resume`: go on with a run; what brings its state back is `load_run_state` of storage/run_state.py."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from ddpg_jax.runs.commands.train import load_demonstrations, print_setup, train_to_end
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import EnvAgain, Imports, WrappersAgain, parse
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.console.signals import stop_requests
from ddpg_jax.runs.driver import is_finished
from ddpg_jax.runs.session import prepare, start
from ddpg_jax.runs.storage.directory import (
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
from ddpg_jax.runs.storage.run_state import load_run_state


def resume(args: list[str], console: Console) -> int:
    """`ddpg-jax resume RUN`: go on from the newest whole checkpoint, to the bit."""

    def options(
        run: tyro.conf.Positional[Path],
        live: bool = False,
        eval_steps: Annotated[int | None, tyro.conf.arg(name="train.eval-steps")] = None,
        final_eval_episodes: Annotated[int | None, tyro.conf.arg(name="train.final-eval-episodes")] = None,
        imports: Imports = (),
        env: EnvAgain = None,
        wrappers: WrappersAgain = (),
    ) -> tuple[Path, bool, dict[str, int | None], Named]:
        """Go on with a run that was stopped, killed, or failed.

        Args:
            run: run directory of the training.
            live: show the figures while it trains, on a page for this machine alone.
            eval_steps: from now on, steps after which an episode of an evaluation is cut.
            final_eval_episodes: from now on, episodes of the evaluation of the final policy; 0 leaves it out.
            imports: module or file that registers the environment, to be imported first.
            env: the run's environment again, where it is code of yours.
            wrappers: those of its wrappers again that are code of yours.
        """
        changes = {"eval_steps": eval_steps, "final_eval_episodes": final_eval_episodes}
        return run, live, changes, Named(imports, env, wrappers)

    path, live, changes, named = parse(options, "resume", args)
    check_writable(path)
    named = import_named(named)
    run = with_changes(read_run(path, named), changes)
    check_x64(run)
    with stop_requests() as stopped, lock_run(path), contextlib.closing(prepare(run.config)) as session:
        session = session._replace(imports=named.imports)
        write_settings(run)
        for line in version_differences(run.versions):
            print_line(console, line)
        found = load_run_state(session.env, session.trainer, path, lambda line: print_line(console, line))
        if found is None:
            print_line(console, f"no checkpoint was completed in {path}; beginning at step 0")
            state = start(session, load_demonstrations(session, console))
            return train_to_end(session, path, state, stopped, console, live)
        if is_finished(run.config.train, found):
            again = command("evaluate", path, named.imports, run.config)
            print_line(console, f"{path} has already finished, after {found.step:,} steps; see: {again}")
            return DONE
        print_line(console, f"{run.config.env}, seed {run.config.seed}, going on after {found.step:,} steps")
        print_setup(console, session, path)
        return train_to_end(session, path, found, stopped, console, live)


def with_changes(run: Run, changes: dict[str, int | None]) -> Run:
    """The run with other evaluations, which change nothing that is learned; None leaves a setting as it is."""
    given = {name: value for name, value in changes.items() if value is not None}
    return run._replace(config=replace(run.config, train=replace(run.config.train, **given)))


def version_differences(made_with: dict[str, Any]) -> list[str]:
    """A line if a run was made with other versions or elsewhere, which changes bits; of what it holds no word, none."""
    now = versions()
    changed = [
        f"{name} {made_with[name]} then, {now[name]} now" for name in now if made_with.get(name, now[name]) != now[name]
    ]
    return [f"not the same bits as without the interruption: {', '.join(changed)}"] if changed else []

"""`ddpg-jax train` and `ddpg-jax resume`."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from ddpg_jax.config import Config, ConfigError, DDPGConfig
from ddpg_jax.envs import import_modules, module_of, resolve
from ddpg_jax.native import library
from ddpg_jax.presets import PRESETS, find_preset
from ddpg_jax.replay.demonstrations import check_amount
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import Imports, chosen_preset, parse
from ddpg_jax.runs.console.progress import print_evaluation, print_line
from ddpg_jax.runs.console.signals import stop_requests
from ddpg_jax.runs.driver import is_finished
from ddpg_jax.runs.driver import train as run_training
from ddpg_jax.runs.interop.demonstrations import read_demonstrations
from ddpg_jax.runs.live.server_process import serve_live
from ddpg_jax.runs.live.sparklines import NO_SPARKLINES
from ddpg_jax.runs.machine.cache import enable_compilation_cache
from ddpg_jax.runs.report.write import write_report
from ddpg_jax.runs.session import Session, prepare, start
from ddpg_jax.runs.storage.directory import (
    Run,
    check_new,
    check_writable,
    check_x64,
    command,
    create_run,
    lock_run,
    read_run,
    versions,
    write_settings,
)
from ddpg_jax.runs.storage.metrics import Row
from ddpg_jax.runs.storage.run_state import RunState, load_run_state
from ddpg_jax.runs.storage.writers import make_writers
from ddpg_jax.runs.updates import few_updates, no_batch
from ddpg_jax.types import Transition


def train(args: list[str], console: Console) -> int:
    """`ddpg-jax train`: train, save, evaluate; the last line printed is the evaluated return."""
    preset = chosen_preset(args)
    defaults = find_preset(preset).config

    def options(
        config: Annotated[Config, tyro.conf.arg(name="")] = defaults,
        preset: str = preset,
        run_dir: Path | None = None,
        live: bool = False,
        imports: Imports = (),
    ) -> tuple[Config, Path | None, bool, tuple[str, ...]]:
        """Train a policy. A preset fills the settings, flags override it.

        Args:
            config: the settings.
            preset: named settings to start from; by default those tuned for the environment (`ddpg-jax presets`).
            run_dir: new directory for settings, metrics and checkpoints; by default one below runs/.
            live: show the figures while it trains, on a page for this machine alone.
            imports: module that registers the environment, to be imported first; `--env MODULE:ID` does so, too.
        """
        return config, run_dir, live, imports

    config, run_dir, live, imports = parse(options, "train", args)
    config, imports = resolve_env(config, imports)
    path = run_dir or default_run_dir(config)
    check_new(path)
    with stop_requests() as stopped, contextlib.closing(prepare(config)) as session:
        session = session._replace(imports=imports)
        print_line(console, f"{config.env}, preset {preset} ({PRESETS[preset].source}), seed {config.seed}")
        demonstrations = load_demonstrations(session, console)
        print_setup(console, session, path)
        # The first resets come before anything is written: much that is wrong with an environment shows in them.
        state = start(session, demonstrations)
        del demonstrations  # they are in the memory now
        create_run(path, config, preset, imports)
        with lock_run(path):
            return train_to_end(session, path, state, stopped, console, live)


def resume(args: list[str], console: Console) -> int:
    """`ddpg-jax resume RUN`: go on from the newest whole checkpoint, to the bit."""

    def options(
        run: tyro.conf.Positional[Path],
        live: bool = False,
        eval_steps: Annotated[int | None, tyro.conf.arg(name="train.eval-steps")] = None,
        final_eval_episodes: Annotated[int | None, tyro.conf.arg(name="train.final-eval-episodes")] = None,
        imports: Imports = (),
    ) -> tuple[Path, bool, dict[str, int | None], tuple[str, ...]]:
        """Go on with a run that was stopped, killed, or failed.

        Args:
            run: run directory of the training.
            live: show the figures while it trains, on a page for this machine alone.
            eval_steps: from now on, steps after which an episode of an evaluation is cut.
            final_eval_episodes: from now on, episodes of the evaluation of the final policy; 0 leaves it out.
            imports: module that registers the environment, to be imported first.
        """
        return run, live, {"eval_steps": eval_steps, "final_eval_episodes": final_eval_episodes}, imports

    path, live, changes, imports = parse(options, "resume", args)
    check_writable(path)
    import_modules(imports)
    run = with_changes(read_run(path, imports), changes)
    check_x64(run)
    with stop_requests() as stopped, lock_run(path), contextlib.closing(prepare(run.config)) as session:
        session = session._replace(imports=imports)
        write_settings(run)
        for line in version_differences(run.versions):
            print_line(console, line)
        found = load_run_state(session.env, session.trainer, path, lambda line: print_line(console, line))
        if found is None:
            print_line(console, f"no checkpoint was completed in {path}; beginning at step 0")
            state = start(session, load_demonstrations(session, console))
            return train_to_end(session, path, state, stopped, console, live)
        if is_finished(run.config.train, found):
            again = command("evaluate", path, imports)
            print_line(console, f"{path} has already finished, after {found.step:,} steps; see: {again}")
            return DONE
        print_line(console, f"{run.config.env}, seed {run.config.seed}, going on after {found.step:,} steps")
        print_setup(console, session, path)
        return train_to_end(session, path, found, stopped, console, live)


def with_changes(run: Run, changes: dict[str, int | None]) -> Run:
    """The run with other evaluations, which change nothing that is learned; None leaves a setting as it is."""
    given = {name: value for name, value in changes.items() if value is not None}
    return run._replace(config=replace(run.config, train=replace(run.config.train, **given)))


def resolve_env(config: Config, imports: tuple[str, ...]) -> tuple[Config, tuple[str, ...]]:
    """The settings with the registered id of the environment, and all modules that a person named for it.

    What is kept of a run is such an id: one from a file is looked up and never imported, so no other could be resumed.

    Raises:
        EnvError: if a module cannot be imported.
    """
    if not isinstance(config.env, str):
        return config, imports
    import_modules(imports)
    modules = dict.fromkeys(filter(None, [*imports, module_of(config.env)]))
    return replace(config, env=resolve(config.env)), tuple(modules)


def load_demonstrations(session: Session, console: Console) -> Transition | None:
    """The demonstrations that the settings name, checked, or None."""
    config = session.config
    if config.demonstrations is None:
        return None
    steps = read_demonstrations(config.demonstrations, session.env.spec)
    check_amount(steps, config.train.num_envs, config.replay)
    if problem := no_batch(config, len(steps.reward)):
        raise ConfigError(problem)
    stretches = int((steps.terminated | steps.truncated).sum())
    print_line(
        console,
        f"the memory begins with {len(steps.reward):,} demonstrations in {stretches:,} stretches, of "
        f"{config.demonstrations}",
    )
    return steps


def train_to_end(
    session: Session, path: Path, state: RunState, stopped: Callable[[], bool], console: Console, live: bool
) -> int:
    """Train to the end and say how good the policy is, and where the report; returns the exit code."""
    config = session.config
    with contextlib.ExitStack() as stack:
        writer = make_writers(config.writers, path, config, state.step, lambda line: print_line(console, line))
        stack.callback(writer.close)
        sparklines = stack.enter_context(serve_live(path, console)) if live else NO_SPARKLINES

        def publish(rows: list[Row]) -> None:
            writer.write(rows)
            sparklines.write(rows)

        state, evaluation = run_training(session, path, state, stopped, console, publish, sparklines.text)
    subject = f"{config.env} after {state.step:,} steps"
    if evaluation is not None:
        print_evaluation(console, subject, evaluation, config.train.eval_steps, "train.eval_steps")
    elif state.progress.evaluated < state.step:
        again = command("evaluate", path, session.imports)
        print_line(console, f"{subject}: not evaluated, train.final_eval_episodes is 0; see: {again}")
    print_line(console, f"report: {write_report((path,))}")
    return DONE


def print_setup(console: Console, session: Session, path: Path) -> None:
    """Say what is left unlearned, how much memory the replay takes, where things are kept and what computes."""
    programs = enable_compilation_cache()
    for line in few_updates(session.config.train):
        print_line(console, line)
    print_line(console, f"replay memory {session.trainer.replay.num_bytes / 2**20:,.0f} MiB, run directory {path}")
    print_line(
        console, f"compiled programs are {f'kept in {programs}' if programs else 'not kept: no cache can be written'}"
    )
    print_line(console, f"kernels: {kernels_in_use(session.config.agent)}")


def kernels_in_use(config: DDPGConfig) -> str:
    """The build of this package's kernels that computes, or why XLA's do."""
    if config.kernels == "xla":
        return "XLA's, as agent.kernels says"
    reason = library.why_not()
    return f"XLA's, since {reason}" if reason else library.name()


def version_differences(made_with: dict[str, Any]) -> list[str]:
    """A line if a run was made with other versions or elsewhere, which changes bits; of what it holds no word, none."""
    now = versions()
    changed = [
        f"{name} {made_with[name]} then, {now[name]} now" for name in now if made_with.get(name, now[name]) != now[name]
    ]
    return [f"not the same bits as without the interruption: {', '.join(changed)}"] if changed else []


def default_run_dir(config: Config) -> Path:
    """A directory below runs/ that names the environment, the seed and the time."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{config.env.replace('/', '-').replace(':', '-')}-seed{config.seed}-{stamp}"

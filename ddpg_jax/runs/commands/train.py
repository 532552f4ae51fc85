"""`ddpg-jax train`."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from ddpg_jax.agent.kernel_choice import are_plain
from ddpg_jax.config import GIVEN_ENV, Config, ConfigError, DDPGConfig
from ddpg_jax.native import library
from ddpg_jax.presets import FOR_ENVIRONMENT, PRESETS, find_preset, preset_for
from ddpg_jax.replay.demonstrations import check_amount
from ddpg_jax.runs.check_updates import few_updates, no_batch
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import Imports, chosen_preset, parse
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.console.progress import print_evaluation, print_line
from ddpg_jax.runs.console.signals import stop_requests
from ddpg_jax.runs.driver import train as run_training
from ddpg_jax.runs.interop.demonstrations import read_demonstrations
from ddpg_jax.runs.live.server_process import serve_live
from ddpg_jax.runs.live.sparklines import NO_SPARKLINES
from ddpg_jax.runs.machine.cache import enable_compilation_cache
from ddpg_jax.runs.report.write import write_report
from ddpg_jax.runs.session import Session, prepare, start
from ddpg_jax.runs.storage.choice import LAST
from ddpg_jax.runs.storage.directory import (
    check_new,
    command,
    create_run,
    lock_run,
)
from ddpg_jax.runs.storage.metrics import Row
from ddpg_jax.runs.storage.named_code import Named, import_named
from ddpg_jax.runs.storage.run_state import RunState
from ddpg_jax.runs.storage.writers import make_writers
from ddpg_jax.runs.warm_start import Beginning, begin_with
from ddpg_jax.training.evaluation import Evaluation
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
        warm_start: Path | None = None,
        warm_start_checkpoint: str = LAST,
        warm_start_replay: bool = False,
        imports: Imports = (),
    ) -> tuple[Config, Path | None, bool, Beginning, tuple[str, ...]]:
        """Train a policy. A preset fills the settings, flags override it.

        An example: ddpg-jax train --env Hopper-v5 --seed 3 --agent.hidden-sizes 64,64

        Of the settings, `--help` shows those that one changes first, `--help-all` all.

        Args:
            config: the settings.
            preset: named settings to start from; by default those tuned for the environment (`ddpg-jax presets`).
            run_dir: new directory for settings, metrics and checkpoints; by default one below runs/.
            live: show the figures while it trains, on a page for this machine alone.
            warm_start: run directory whose networks to begin with, targets and statistics among them; the optimisers
                begin fresh.
            warm_start_checkpoint: which of its networks: "last", "best" (of the best evaluation), or the step of a
                checkpoint that is kept.
            warm_start_replay: begin with the replay memory of its newest checkpoint, too.
            imports: module or file that registers the environment, imported first; `--env MODULE:ID` does so, too.
        """
        return config, run_dir, live, Beginning(warm_start, warm_start_checkpoint, warm_start_replay), imports

    config, run_dir, live, beginning, imports = parse(options, "train", args)
    config, imports = resolve_env(config, imports)
    path = run_dir or default_run_dir(config)
    check_new(path)
    with stop_requests() as stopped, contextlib.closing(prepare(config)) as session:
        session = session._replace(imports=imports)
        print_line(console, describe_run(config, preset))
        demonstrations = load_demonstrations(session, console)
        print_setup(console, session, path)
        origin, begin = begin_with(beginning, session.trainer, config, lambda line: print_line(console, line))
        # The first resets come before anything is written: much that is wrong with an environment shows in them.
        state = start(session, demonstrations, begin)
        del demonstrations  # they are in the memory now
        create_run(path, config, preset, imports, origin)
        with lock_run(path):
            return train_to_end(session, path, state, stopped, console, live)


def describe_run(config: Config, preset: str) -> str:
    """The environment, the preset with its source, and the seed, in one line."""
    fallback = config.env not in FOR_ENVIRONMENT and preset == preset_for(config.env)
    why = ", since none is tuned for this environment" if fallback else ""
    return f"{config.env}, preset {preset} ({PRESETS[preset].source}){why}, seed {config.seed}"


def resolve_env(config: Config, imports: tuple[str, ...]) -> tuple[Config, tuple[str, ...]]:
    """The settings with the registered id of the environment, or the name of its code, and all modules named for it.

    What is kept of a run is such a name: one from a file is looked up and never imported.

    Raises:
        EnvError: if something that is named cannot be imported.
    """
    named = import_named(Named(imports, config.env, config.wrappers))
    return replace(config, env=named.env or config.env), named.imports


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
    with serve_live(path, console) if live else contextlib.nullcontext(NO_SPARKLINES) as sparklines:
        state, evaluation = run_to_end(session, path, state, stopped, console, sparklines.write, sparklines.text)
    subject = f"{config.env} after {state.step:,} steps"
    print_best(session, path, state, console)
    if evaluation is not None:
        print_evaluation(console, subject, evaluation, config.train.eval_steps, "train.eval_steps")
    elif state.progress.evaluated < state.step:
        again = command("evaluate", path, session.imports, config)
        print_line(console, f"{subject}: not evaluated, train.final_eval_episodes is 0; see: {again}")
    print_line(console, f"report: {write_report((path,))}")
    return DONE


def run_to_end(
    session: Session,
    path: Path,
    state: RunState,
    stopped: Callable[[], bool],
    console: Console,
    publish: Callable[[list[Row]], None],
    sparklines: Callable[[], str] = str,
) -> tuple[RunState, Evaluation | None]:
    """Train to the end with the writers that the settings name; arguments, and what it returns, as of driver.py."""
    config = session.config
    warn = lambda line: print_line(console, line)  # noqa: E731
    with contextlib.closing(make_writers(config.writers, path, config, state.step, warn)) as writer:

        def publish_all(rows: list[Row]) -> None:
            writer.write(rows)
            publish(rows)

        return run_training(session, path, state, stopped, console, publish_all, sparklines)


def print_best(session: Session, path: Path, state: RunState, console: Console) -> None:
    """Say how good the best evaluation was, unless its policy is the last."""
    best, step = state.progress.best, state.progress.best_step
    if best is not None and step != state.step:
        again = command("evaluate", path, session.imports, session.config)
        print_line(
            console,
            f"best evaluation: return {format_number(best)} after {step:,} steps; see: {again} --checkpoint best",
        )


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
    if reason:
        return f"XLA's, since {reason}"
    return library.name() if are_plain(config) else f"{library.name()} for norms, Adam and targets; XLA's for layers"


def default_run_dir(config: Config) -> Path:
    """A directory below runs/ that names the environment, the seed and the time."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = "Env" if config.env == GIVEN_ENV else config.env.rpartition(":")[2].replace("/", "-")
    return Path("runs") / f"{name}-seed{config.seed}-{stamp}"

"""The command line: `ddpg-jax train`, `resume`, `evaluate` and `presets`.

Every setting of `Config` is a flag; a preset fills them, and flags override it.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro
from rich.console import Console
from rich.table import Table

import ddpg_jax
from ddpg_jax import envs
from ddpg_jax.config import INT32, SEED, Config, ConfigError, field_problem, nearest
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.presets import PRESETS, find_preset
from ddpg_jax.runs.cache import keep_programs
from ddpg_jax.runs.directory import check_new, check_writable, create_run, read_run, versions, writing
from ddpg_jax.runs.driver import EVAL_ENVS, Session, finished, prepare, start
from ddpg_jax.runs.driver import train as run_training
from ddpg_jax.runs.errors import (
    DONE,
    ENV_FAULT,
    INPUT_ERROR,
    NUMERICAL_FAULT,
    STOPPED,
    STORAGE_FAULT,
    BrokenEnvError,
    NumericalError,
    StoppedError,
    StorageError,
)
from ddpg_jax.runs.flags import check_given, chosen_preset, parse
from ddpg_jax.runs.point import Point, load_point
from ddpg_jax.runs.policy import load_policy, policy_config
from ddpg_jax.runs.signals import stop_requests
from ddpg_jax.training.evaluation import Evaluation, make_evaluate

INTERRUPTED = 130
# What memory is needed for, beside the replay memory, which is checked before.
SIZES = (
    "agent.hidden_sizes", "agent.num_critics", "replay.batch_size", "replay.n_step", "train.num_envs",
    "train.eval_episodes",
)  # fmt: skip
USAGE = """usage: ddpg-jax COMMAND [OPTIONS]

  train      train a policy; with no option, Pendulum-v1 under its tuned preset
  resume     go on with a run that was stopped, killed, or failed, from its newest checkpoint
  evaluate   play episodes with the policy of a run directory
  presets    list the named settings and their sources

`ddpg-jax COMMAND --help` shows the options of each; `ddpg-jax --version`, the version."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 done, 2 wrong input, 3 environment, 4 numerical, 5 storage, 75 stopped with a good checkpoint, 130 interrupted.
    """
    args = list(sys.argv[1:] if args is None else args)
    console = Console()
    try:
        if not args or args[0] in ("-h", "--help"):
            console.print(USAGE, markup=False, highlight=False)
            return DONE
        if args[0] == "--version":
            console.print(ddpg_jax.__version__, highlight=False)
            return DONE
        if args[0] not in COMMANDS:
            raise ConfigError(f"command {args[0]!r} is unknown; {nearest(args[0], COMMANDS)}")
        check_given(args[0], args[1:])
        return COMMANDS[args[0]](args[1:], console)
    except tuple(EXIT_CODES) as error:
        for line in str(error).splitlines():
            complain(line)
        return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        complain(f"out of memory; lower {', '.join(SIZES)}")
        return INPUT_ERROR
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED


# The first that fits: a BrokenEnvError is an EnvError, too.
EXIT_CODES: dict[type[Exception], int] = {
    BrokenEnvError: ENV_FAULT,
    NumericalError: NUMERICAL_FAULT,
    StorageError: STORAGE_FAULT,
    ConfigError: INPUT_ERROR,
    EnvError: INPUT_ERROR,
}


def complain(line: str) -> None:
    """Print one line of an error."""
    print(f"ddpg-jax: error: {line}", file=sys.stderr)  # noqa: T201


def train(args: list[str], console: Console) -> int:
    """`ddpg-jax train`: train, save, evaluate; the last line printed is the evaluated return."""
    preset = chosen_preset(args)
    defaults = find_preset(preset).config

    def options(
        config: Annotated[Config, tyro.conf.arg(name="")] = defaults,
        preset: str = preset,
        run_dir: Path | None = None,
    ) -> tuple[Config, Path]:
        """Train a policy. A preset fills the settings, flags override it.

        Args:
            config: the settings.
            preset: named settings to start from; by default those tuned for the environment (`ddpg-jax presets`).
            run_dir: new directory for settings, metrics and checkpoints; by default one below runs/.
        """
        return config, run_dir or default_run_dir(config)

    config, path = parse(options, "train", args)
    check_new(path)
    with stop_requests() as stopped, closing(prepare(config)) as session:
        say(console, f"{config.env}, preset {preset} ({PRESETS[preset].source}), seed {config.seed}")
        say_places(console, session, path)
        create_run(path, config, preset)
        with writing(path):
            return finish(session, path, start(session), stopped, console)


def resume(args: list[str], console: Console) -> int:
    """`ddpg-jax resume RUN`: go on from the newest whole checkpoint, to the bit."""

    def options(run: tyro.conf.Positional[Path]) -> Path:
        """Go on with a run that was stopped, killed, or failed.

        Args:
            run: run directory of the training.
        """
        return run

    path = parse(options, "resume", args)
    check_writable(path)
    run = read_run(path)
    with stop_requests() as stopped, writing(path), closing(prepare(run.config)) as session:
        for line in differences(run.versions):
            say(console, line)
        found = load_point(session.env, session.trainer, path, lambda line: say(console, line))
        if found is None:
            say(console, f"no checkpoint was completed in {path}; beginning at step 0")
            return finish(session, path, start(session), stopped, console)
        if finished(run.config.train, found):
            say(console, f"{path} has already finished, after {found.step:,} steps; see: ddpg-jax evaluate {path}")
            return DONE
        say(console, f"{run.config.env}, seed {run.config.seed}, going on after {found.step:,} steps")
        say_places(console, session, path)
        return finish(session, path, found, stopped, console)


def finish(session: Session, path: Path, point: Point, stopped: Callable[[], bool], console: Console) -> int:
    """Train to the end and say how good the policy is; returns the exit code."""
    try:
        point, evaluation = run_training(session, path, point, stopped, console)
    except StoppedError as stop:
        say(console, str(stop))
        return STOPPED
    if evaluation is not None:
        say_evaluation(console, f"{session.config.env} after {point.step:,} steps", evaluation)
    return DONE


def evaluate(args: list[str], console: Console) -> int:
    """`ddpg-jax evaluate RUN`: episodes of the greedy policy; the run directory is only read."""

    def options(run: tyro.conf.Positional[Path], episodes: int = 100, seed: int = 0) -> tuple[Path, int, int]:
        """Play episodes with the greedy policy of a run's newest checkpoint.

        Args:
            run: run directory of a training, ended or not.
            episodes: how many to play.
            seed: seed of the episodes.
        """
        return run, episodes, seed

    path, episodes, seed = parse(options, "evaluate", args)
    wrong = field_problem("episodes", episodes, int, INT32), field_problem("seed", seed, int, SEED)
    if any(wrong):
        raise ConfigError("\n".join(problem for problem in wrong if problem))
    config = policy_config(path)
    keep_programs()
    with closing(envs.make(config.env, EVAL_ENVS, config.env_timeout)) as env:
        policy = load_policy(path, config, env.spec, lambda line: say(console, line))
        result = make_evaluate(env, policy.agent.act, episodes)(jax.random.key(seed), policy.params)
    say_evaluation(console, f"{config.env} after {policy.step:,} steps", result)
    return DONE


def presets(args: list[str], console: Console) -> int:
    """`ddpg-jax presets`: names, environments and sources."""

    def options() -> None:
        """List the named settings."""

    parse(options, "presets", args)
    table = Table("preset", "environment", "source", box=None, pad_edge=False)
    for name, preset in PRESETS.items():
        table.add_row(name, preset.config.env, preset.source)
    console.print(table, markup=False)
    return DONE


COMMANDS: dict[str, Callable[[list[str], Console], int]] = {
    "train": train,
    "resume": resume,
    "evaluate": evaluate,
    "presets": presets,
}


def say(console: Console, line: str) -> None:
    """Print one line, as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def say_places(console: Console, session: Session, path: Path) -> None:
    """Say how much memory the replay will take and where things are kept, before either is touched."""
    programs = keep_programs()
    say(console, f"replay memory {session.trainer.replay.num_bytes / 2**20:,.0f} MiB, run directory {path}")
    say(console, f"compiled programs are {f'kept in {programs}' if programs else 'not kept: no cache can be written'}")


def differences(made_with: dict[str, Any]) -> list[str]:
    """A line if a run was made with other versions or on another number of cores, which changes bits."""
    now = versions()
    changed = [
        f"{name} {made_with.get(name)} then, {value} now" for name, value in now.items() if made_with.get(name) != value
    ]
    return [f"not the same bits as without the interruption: {', '.join(changed)}"] if changed else []


def say_evaluation(console: Console, subject: str, evaluation: Evaluation) -> None:
    """Print mean and spread of an evaluation in one line."""
    returns = evaluation.returns
    say(
        console,
        f"{subject}: return {returns.mean():.1f} +- {returns.std():.1f} "
        f"(mean and standard deviation of {len(returns)} episodes, worst {returns.min():.1f})",
    )


def default_run_dir(config: Config) -> Path:
    """A directory below runs/ that names the environment, the seed and the time."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{config.env.replace('/', '-').replace(':', '-')}-seed{config.seed}-{stamp}"


if __name__ == "__main__":
    sys.exit(main())

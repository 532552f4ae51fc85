"""The command line: `ddpg-jax COMMAND`; each command is a module of `runs/commands`."""

import gc
import sys
from collections.abc import Callable, Sequence

import jax
from rich.console import Console

import ddpg_jax
from ddpg_jax.config import ConfigError, nearest
from ddpg_jax.runs.console.errors import DONE, EXIT_CODES, INPUT_ERROR, INTERRUPTED, STOPPED, StoppedError
from ddpg_jax.runs.console.progress import print_line

Command = Callable[[list[str], Console], int]
COMMANDS = ("train", "resume", "evaluate", "report", "live", "watch", "export", "card", "presets", "doctor")
# What memory is needed for, beside what runs/machine/memory.py counts before.
SIZES = (
    "agent.hidden_sizes", "agent.num_critics", "replay.batch_size", "replay.n_step", "train.num_envs",
    "train.eval_episodes",
)  # fmt: skip
USAGE = """usage: ddpg-jax COMMAND [OPTIONS]

  train      train a policy; with no option, Pendulum-v1 under its tuned preset
  resume     go on with a run that was stopped, killed, or failed, or that shall be longer
  evaluate   play episodes with the policy of a run directory
  report     one page with the figures of a run and a verdict, or several runs compared
  live       follow a run that trains in the browser
  watch      film the policy
  export     write the policy for use elsewhere: StableHLO, NumPy, ONNX
  card       write the policy with README.md, evaluation and film for a hub; nothing is uploaded
  presets    list the named settings and their sources
  doctor     say what computes on this machine, and what would make it faster

`ddpg-jax COMMAND --help` shows the options of each; `ddpg-jax --version`, the version."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 done, 2 wrong input, 3 environment, 4 numerical, 5 storage, 75 stopped with a good checkpoint, 130 interrupted.
    """
    args = list(sys.argv[1:] if args is None else args)
    console = Console()
    try:
        if not args or args[0] in ("-h", "--help"):
            print_line(console, USAGE)
            return DONE
        if args[0] == "--version":
            print_line(console, ddpg_jax.__version__)
            return DONE
        command = find_command(args[0])
        # What was imported stays; looking through it again and again, Python would trace programs a tenth slower. Once
        # a process: what is frozen is never collected.
        if not gc.get_freeze_count():
            gc.freeze()
        return command(args[1:], console)
    except tuple(EXIT_CODES) as error:
        for line in str(error).splitlines():
            complain(line)
        return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        complain(f"out of memory; lower {', '.join(SIZES)}")
        return INPUT_ERROR
    except StoppedError as stop:
        print_line(console, str(stop))
        return STOPPED
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED


def find_command(name: str) -> Command:
    """One of `COMMANDS`; what the others import would lengthen its start."""
    match name:
        case "train":
            from ddpg_jax.runs.commands.train import train

            return train
        case "resume":
            from ddpg_jax.runs.commands.resume import resume

            return resume
        case "evaluate":
            from ddpg_jax.runs.commands.evaluate import evaluate

            return evaluate
        case "report":
            from ddpg_jax.runs.commands.report import report

            return report
        case "live":
            from ddpg_jax.runs.commands.live import live

            return live
        case "watch":
            from ddpg_jax.runs.commands.watch import watch

            return watch
        case "export":
            from ddpg_jax.runs.commands.export import export

            return export
        case "card":
            from ddpg_jax.runs.commands.card import card

            return card
        case "presets":
            from ddpg_jax.runs.commands.presets import presets

            return presets
        case "doctor":
            from ddpg_jax.runs.commands.doctor import doctor

            return doctor
    raise ConfigError(f"command {name!r} is unknown; {nearest(name, COMMANDS)}")


def complain(line: str) -> None:
    """Print one line of an error."""
    print(f"ddpg-jax: error: {line}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())

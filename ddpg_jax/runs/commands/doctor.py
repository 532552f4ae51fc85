"""`ddpg-jax doctor`."""

from rich.console import Console

from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import parse
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.machine.diagnosis import diagnose

WIDTH = 12


def doctor(args: list[str], console: Console) -> int:
    """`ddpg-jax doctor`: what of this machine makes training fast or slow; after `->`, what to do about it."""

    def options() -> None:
        """Say what computes on this machine: processor, threads, kernels, cache and GPU, and what to do about each."""

    parse(options, "doctor", args)
    for finding in diagnose():
        print_line(console, f"{finding.subject:<{WIDTH}}{finding.text}")
        if finding.remedy:
            print_line(console, f"{'':<{WIDTH}}-> {finding.remedy}")
    return DONE

"""How everything here is measured: contenders in one process take turns, ratios are taken within a round.

A shared machine's speed drifts by a factor of two within minutes; medians over rounds of ratios of
neighbours do not. Every figure is reported with its quartiles and with what it depends on.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from ddpg_jax.native import library

PACKAGES = (
    "jax", "jaxlib", "flax", "optax", "numpy", "gymnasium", "gymnax", "torch", "mujoco",
    "stable-baselines3", "sbx-rl", "rejax", "flashbax",
)  # fmt: skip


class Contender(NamedTuple):
    """Something to be timed.

    Attributes:
        run: does its work once, and returns when it is done.
        size: steps or updates of one call.
    """

    run: Callable[[], object]
    size: int


def take_turns(contenders: Mapping[str, Contender], rounds: int, seconds: float) -> dict[str, np.ndarray]:
    """Rates of all contenders, round by round (A B C A B C ...), after warming each up.

    Args:
        contenders: by name, in the order of their turns.
        rounds: samples of each.
        seconds: about how long one sample lasts.

    Returns:
        Steps or updates a second, `[rounds]` for each name.
    """
    calls = {name: repeats(contender, seconds) for name, contender in contenders.items()}
    samples = [{name: rate(contenders[name], calls[name]) for name in contenders} for _ in range(rounds)]
    return {name: np.array([sample[name] for sample in samples]) for name in contenders}


def repeats(contender: Contender, seconds: float) -> int:
    """Warm up, and find how many calls last about so many seconds."""
    times: list[float] = []
    while len(times) < 2 or (len(times) < 5 and sum(times[1:]) < 2 * seconds):
        begin = time.perf_counter()
        contender.run()
        times.append(time.perf_counter() - begin)
    return max(1, round(seconds / min(times)))


def rate(contender: Contender, calls: int) -> float:
    """Steps or updates a second over so many calls."""
    begin = time.perf_counter()
    for _ in range(calls):
        contender.run()
    return calls * contender.size / (time.perf_counter() - begin)


def quartiles(values: Sequence[float] | np.ndarray) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [float(f"{value:.4g}") for value in np.quantile(values, [0.25, 0.5, 0.75])]


def summarize(rates: Mapping[str, np.ndarray], ratios: Mapping[str, tuple[str, str]]) -> dict:
    """Rates, and ratios taken within rounds, as plain values; ratios whose contenders are missing are left out.

    Args:
        rates: as `take_turns` returns them.
        ratios: `{name: (over, under)}`.
    """
    present = {name: pair for name, pair in ratios.items() if set(pair) <= set(rates)}
    return {
        "per_second": {name: quartiles(values) for name, values in rates.items()},
        "ratios": {name: quartiles(rates[over] / rates[under]) for name, (over, under) in present.items()},
        "samples": {name: [float(f"{value:.5g}") for value in values] for name, values in rates.items()},
    }


def arguments(doc: str | None, rounds: int = 7, seconds: float = 0.45) -> argparse.ArgumentParser:
    """A parser with the options that every script has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"samples of each contender (default {rounds})")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"of one sample (default {seconds})")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    return parser


def write(args: argparse.Namespace, script: str, results: object) -> None:
    """Write the figures with the command and the machine, if a file was asked for; call it as often as you like."""
    if args.out:
        command = " ".join([f"python -m benchmarks.{script}", *sys.argv[1:]])
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"command": command, **machine(), "results": results}, indent=1) + "\n")


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers are set to the right."""
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=160 if not sys.stdout.isatty() else None).print(table)


def show_summary(title: str, summary: Mapping) -> None:
    """Print rates and ratios of one `summarize`."""
    rows = [
        *((f"{name} (1/s)", *(f"{value:,.1f}" for value in values)) for name, values in summary["per_second"].items()),
        *((name, *(f"{value:.3f}" for value in values)) for name, values in summary["ratios"].items()),
    ]
    show(title, ("", "lower quartile", "median", "upper quartile"), rows)


def have(module: str, extra: str) -> bool:
    """Whether a peer is installed; if not, a line says what is skipped and how to get it."""
    if importlib.util.find_spec(module):
        return True
    print(f"skipped: {module} is not installed (pip install '.[{extra}]')", file=sys.stderr)
    return False


def num_threads() -> int:
    """Processors that this process may use; XLA takes as many, and so must everyone else."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict:
    """What the figures depend on."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    installed = {name: version(name) for name in PACKAGES}
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads": num_threads(),
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "kernels": library.name(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "python": platform.python_version(),
        "versions": {name: number for name, number in installed.items() if number},
    }


def version(package: str) -> str | None:
    """Installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

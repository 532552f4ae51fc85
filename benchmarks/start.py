"""Seconds from a process's start to its first finished update: `python -m benchmarks.start`.

Measured from outside, in fresh processes that take turns: `ddpg-jax train` until the first `update` row lies in
metrics.jsonl, with an empty and with a filled compilation cache, on Gymnasium's Pendulum and on gymnax's. Ten random
steps come before the first chunk of ten updates; all other settings are those of the preset, so that nothing is
evaluated or looked at before. A start is measured against one compiled update and nothing else, also with an empty or
a filled cache (benchmarks/first_update.py). Beside it stand the first updates of SBX and of Stable-Baselines3, and the
seconds of imports alone. A process is ended as soon as it has been timed.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks import kernels, measure
from ddpg_jax.runs.storage.directory import METRICS

IMPORTS, COMMAND_LINE = "importing jax, flax, optax, gymnasium", "importing the command line"
STATEMENTS = {IMPORTS: "import jax, flax, optax, gymnasium", COMMAND_LINE: "import ddpg_jax.runs.console.cli"}
WORLDS = {"Gymnasium": "Pendulum-v1", "gymnax": "gymnax/Pendulum-v1"}
UPDATE, PEERS = "one update", {"SBX": "sbx", "SB3": "stable_baselines3"}
STEPS, POLL, PATIENCE = 10, 0.002, 300.0  # environment steps, seconds, seconds
OPTIONS = {
    "train.start-steps": STEPS,
    "train.update-after": STEPS,
    "train.log-every": STEPS,
}


def start(arguments: list[str], cache: pathlib.Path) -> subprocess.Popen:
    """A Python process with a compilation cache."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    return subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True)


def time_line(arguments: list[str], place: pathlib.Path, cache: pathlib.Path | None = None) -> float:
    """Seconds until a process prints its first line.

    Args:
        arguments: of Python.
        place: an existing directory for what is written.
        cache: compilation cache; an empty one if None.

    Raises:
        RuntimeError: if the process ended without one.
    """
    begin = time.perf_counter()
    with start(arguments, cache or pathlib.Path(tempfile.mkdtemp(dir=place))) as process:
        line = process.stdout.readline() if process.stdout else ""
        seconds = time.perf_counter() - begin
        process.kill()
    if not line:
        raise RuntimeError(f"{' '.join(arguments)} failed; its error is above")
    return seconds


def importing(statement: str) -> list[str]:
    """Arguments of a Python that imports and says so."""
    return ["-c", f"{statement}; print('done', flush=True)"]


def first_update(what: str) -> list[str]:
    """Arguments of a Python that makes an update and says so."""
    return ["-m", "benchmarks.first_update", what]


def train(env_id: str, run_dir: pathlib.Path, cache: pathlib.Path) -> subprocess.Popen:
    """Start the command line."""
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    return start(
        ["-m", "ddpg_jax.runs.console.cli", "train", "--env", env_id, "--run-dir", str(run_dir), *options], cache
    )


def time_update(env_id: str, place: pathlib.Path, cache: pathlib.Path | None = None) -> float:
    """Seconds until the first update is reported.

    Args:
        env_id: what is trained on.
        place: an existing directory for what is written.
        cache: compilation cache; an empty one if None.

    Raises:
        RuntimeError: if the process ended, or went on for minutes, without an update.
    """
    own = pathlib.Path(tempfile.mkdtemp(dir=place))
    begin = time.perf_counter()
    with train(env_id, own / "run", cache or own / "cache") as process:
        try:
            while (seconds := time.perf_counter() - begin) < PATIENCE and process.poll() is None:
                if has_update(own / "run" / METRICS):
                    return seconds
                time.sleep(POLL)
        finally:
            process.kill()
    raise RuntimeError(f"no update of {env_id} within {seconds:.0f} s; the process's errors are above")


def has_update(metrics: pathlib.Path) -> bool:
    """Whether a row of that kind has been written."""
    return metrics.exists() and '"kind": "update"' in metrics.read_text()


def make_timers(worlds: dict[str, str], peers: dict[str, str], place: pathlib.Path) -> dict[str, Callable[[], float]]:
    """Everything to be timed, by name; caches are filled here."""
    timers: dict[str, Callable[[], float]] = {}
    timers |= {name: partial(time_line, importing(statement), place) for name, statement in STATEMENTS.items()}
    timers[f"{UPDATE}, cold"] = partial(time_line, first_update("update"), place)
    filled = place / "cache-update"
    time_line(first_update("update"), place, filled)
    timers[f"{UPDATE}, cached"] = partial(time_line, first_update("update"), place, filled)
    timers |= {name: partial(time_line, first_update(library), place) for name, library in peers.items()}
    for world, env_id in worlds.items():
        filled = place / f"cache-{world}"
        time_update(env_id, place, filled)
        timers[f"{world}, cold"] = partial(time_update, env_id, place)
        timers[f"{world}, cached"] = partial(time_update, env_id, place, filled)
    return timers


def summarize(samples: dict[str, np.ndarray]) -> dict:
    """Seconds, and how many times one update and nothing else they are, in the same round and with the same cache."""
    starts = [name for name in samples if name not in STATEMENTS and not name.startswith(UPDATE)]
    return {
        "seconds": {name: measure.quartiles(values) for name, values in samples.items()},
        "ratios": {f"{name} / {UPDATE}": measure.quartiles(samples[name] / beside(name, samples)) for name in starts},
        "samples": {name: values.round(3).tolist() for name, values in samples.items()},
    }


def beside(name: str, samples: dict[str, np.ndarray]) -> np.ndarray:
    """Seconds of one update alone, from the cache where the start of that name had one."""
    return samples[f"{UPDATE}, {'cached' if name.endswith('cached') else 'cold'}"]


def show(summary: dict) -> None:
    """Print seconds and ratios."""
    rows = [(name, *(f"{value:.2f}" for value in values)) for name, values in summary["seconds"].items()]
    rows += [(name, *(f"{value:.2f}" for value in values)) for name, values in summary["ratios"].items()]
    measure.show("seconds from the start of a process", ("", "lower quartile", "median", "upper quartile"), rows)


def main() -> None:
    """Take turns, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="processes of each kind (default 7)")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = kernels.parse(parser)
    worlds = {name: env_id for name, env_id in WORLDS.items() if measure.have(name.lower(), "gymnax")}
    peers = {name: library for name, library in PEERS.items() if measure.have(library, "peers")}
    with tempfile.TemporaryDirectory() as place:
        timers = make_timers(worlds, peers, pathlib.Path(place))
        rounds = [{name: timer() for name, timer in timers.items()} for _ in range(args.rounds)]
    summary = summarize({name: np.array([samples[name] for samples in rounds]) for name in timers})
    show(summary)
    measure.write(args, "start", summary)


if __name__ == "__main__":
    main()

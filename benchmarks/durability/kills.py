"""Kill a run, resume it, compare it bit by bit: `python -m benchmarks.durability.kills`.

For each seed a run goes through undisturbed. Then the same run is killed (SIGKILL) at each named point, at its
first, second, ... passing where there are several and with another seed where there is one, and at random
times; and it is asked to stop (SIGTERM) in each phase. It is resumed until it ends, and the sha256 of its whole
Runner, of its metrics without their wall-clock fields and of its best policy is compared with the undisturbed one.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import kernels, measure
from ddpg_jax.runs.console.errors import STOPPED
from ddpg_jax.runs.storage import best_policy, checkpoint
from ddpg_jax.runs.storage.directory import CHECKPOINTS, METRICS
from ddpg_jax.runs.storage.fault_points import POINTS, VARIABLE

OPTIONS = {
    "agent.hidden-sizes": "16 16",
    "replay.capacity": 900,
    "replay.batch-size": 16,
    "replay.n-step": 3,
    "exploration.kind": "ou",
    "train.num-envs": 2,
    "train.total-steps": 1200,
    "train.start-steps": 200,
    "train.update-after": 300,
    "train.log-every": 100,
    "train.probe-every": 150,
    "train.eval-every": 200,
    "train.eval-episodes": 2,
    "train.final-eval-episodes": 3,
    "checkpoint.every": 200,
}
# Passed once in a life of a process; "resuming" and what follows it belong to the process that resumes.
ONCE = ("created", "initializing", "initialized", "probe-states-kept", "finished")
RESUMING = ("resuming", "cut", "restored")
WALL_CLOCK = ("seconds",)
STOPPED_IN = {
    "compiling": "initializing:1:term",
    "before training": "created:1:term",
    "warm-up": "stepped:1:term",
    "training": "stepped:8:term",
    "evaluation": "evaluating:1:term",
    "saving": "state-saved:3:term",
}
PATIENCE = 600.0


class Trial(NamedTuple):
    """One disturbance: a seed, a value of the environment variable (or None), and seconds to wait (or None)."""

    seed: int
    fault: str | None
    seconds: float | None

    def describe(self) -> str:
        """The trial in words."""
        return self.fault if self.fault else f"{self.seconds:.2f} s"


class Print(NamedTuple):
    """What a run is compared by."""

    runner: str
    metrics: str
    best: str


def fingerprint(run: pathlib.Path) -> Print:
    """sha256 of the newest checkpoint, of the metrics without their wall-clock fields, and of the best policy."""
    found = checkpoint.newest(run, print)
    if found is None:
        raise RuntimeError(f"{run} has no checkpoint")
    policies = best_policy.kept(run / CHECKPOINTS)
    best = sha256_of_arrays(checkpoint.read_checkpoint(policies[-1])) if policies else ""
    metrics = hashlib.sha256()
    for line in (run / METRICS).read_text().splitlines():
        row = {name: value for name, value in json.loads(line).items() if name not in WALL_CLOCK}
        metrics.update(json.dumps(row).encode())
    return Print(sha256_of_arrays(found), metrics.hexdigest(), best)


def sha256_of_arrays(found: checkpoint.Checkpoint) -> str:
    """sha256 of the step and of every array of a checkpoint."""
    arrays, digest = read_arrays(found), hashlib.sha256(str(found.step).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + np.asarray(arrays[name]).tobytes())
    return digest.hexdigest()


def read_arrays(found: checkpoint.Checkpoint) -> dict[str, Any]:
    """Every array of a checkpoint, by name."""
    manifest = json.loads((found.path / "manifest.json").read_text())["manifest"]
    like = {
        name: jax.ShapeDtypeStruct(tuple(array["shape"]), array["dtype"]) for name, array in manifest["arrays"].items()
    }
    return checkpoint.restore(found, like)


def command(name: str, *arguments: str) -> list[str]:
    """A command line of ours."""
    return [sys.executable, "-m", "ddpg_jax.runs.console.cli", name, *arguments]


def train_command(env: str, seed: int, run: pathlib.Path) -> list[str]:
    """`ddpg-jax train` with small networks and many saves."""
    options = [text for name, value in OPTIONS.items() for text in (f"--{name}", *str(value).split())]
    return command("train", "--env", env, "--seed", str(seed), "--run-dir", str(run), *options)


def execute(arguments: list[str], fault: str | None = None, seconds: float | None = None) -> int:
    """Run a process to its end, or kill it after so many seconds; returns its exit status."""
    environment = os.environ | ({VARIABLE: fault} if fault else {})
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        out, _ = process.communicate(timeout=seconds if seconds is not None else PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return process.returncode
    if process.returncode not in (0, STOPPED) and process.returncode > 0:
        print(out)
    return process.returncode


def survive(env: str, trial: Trial, run: pathlib.Path) -> int:
    """Train, be killed or stopped, resume until the end; returns the status of what was disturbed.

    That is -9 for a kill, 75 for a stop, and 0 where a random time came too late.
    """
    train, resume = train_command(env, trial.seed, run), command("resume", str(run))
    if trial.fault is not None and trial.fault.split(":")[0] in RESUMING:
        execute(train, "saved:4")
        disturbed = execute(resume, trial.fault)
    else:
        disturbed = execute(train, trial.fault, trial.seconds)
    # Killed before its directory stood, there is nothing to resume: one types the same command again.
    status = execute(resume if (run / "config.json").exists() else train)
    if status:
        raise RuntimeError(f"{trial.describe()}: exit status {status}")
    return disturbed


def trials(points: list[str], times: int, num_random: int, lasts: float) -> list[Trial]:
    """All kills: each point so many times, and at random times within the undisturbed duration."""
    rng = random.Random(0)
    kills = []
    for point in points:
        for nth in range(1, times + 1):
            single = point in ONCE or point in RESUMING
            kills.append(Trial(nth - 1 if single else 0, f"{point}:{1 if single else nth}", None))
    stops = [Trial(0, fault, None) for fault in STOPPED_IN.values()]
    return kills + stops + [Trial(index % times, None, rng.uniform(0, lasts)) for index in range(num_random)]


def campaign(env: str, options: argparse.Namespace, place: pathlib.Path) -> dict[str, Any]:
    """All trials on one environment."""
    expected, lasts = {}, 0.0
    for seed in range(options.times):
        begin, run = time.perf_counter(), place / f"whole-{seed}"
        if execute(train_command(env, seed, run)):
            raise RuntimeError("the undisturbed run failed")
        expected[seed], lasts = fingerprint(run), time.perf_counter() - begin

    def attempt(numbered: tuple[int, Trial]) -> dict[str, Any]:
        number, trial = numbered
        run = place / f"trial-{number}"
        status = survive(env, trial, run)
        equal = fingerprint(run) == expected[trial.seed]
        shutil.rmtree(run)
        print(f"{env} {trial.describe()} seed {trial.seed}: {status}, {'equal' if equal else 'DIFFERENT'}", flush=True)
        return {"at": trial.describe(), "seed": trial.seed, "status": status, "equal": equal}

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(attempt, enumerate(trials(options.points, options.times, options.random, lasts))))
    return {
        "killed": sum(result["status"] == -9 for result in results),
        "killed_and_equal": sum(result["status"] == -9 and result["equal"] for result in results),
        "stopped": sum(result["status"] == STOPPED for result in results),
        "stopped_and_equal": sum(result["status"] == STOPPED and result["equal"] for result in results),
        "neither": [result["at"] for result in results if result["status"] not in (-9, STOPPED)],
        "each": results,
    }


def main() -> None:
    """Run the campaign and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", nargs="+", default=["Pendulum-v1", "gymnax/Pendulum-v1"])
    parser.add_argument("--points", nargs="+", default=list(POINTS), choices=POINTS, metavar="POINT")
    parser.add_argument("--times", type=int, default=5, help="kills at each named point")
    parser.add_argument("--random", type=int, default=20, help="kills at random times")
    parser.add_argument("--jobs", type=int, default=2, help="trials at once")
    parser.add_argument("--out", type=pathlib.Path, default=None)
    options = kernels.parse(parser)
    results: dict[str, Any] = {}
    for env in options.env:
        with tempfile.TemporaryDirectory() as place:
            results[env] = campaign(env, options, pathlib.Path(place))
        print({name: value for name, value in results[env].items() if name != "each"}, flush=True)
    measure.write(options, "durability.kills", {"settings": OPTIONS, "environments": results})


if __name__ == "__main__":
    main()

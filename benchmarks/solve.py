"""Time to solve Pendulum-v1: steps and seconds until 100 greedy episodes average -160: `python -m benchmarks.solve`.

Every run is a process of its own, and the methods take turns seed by seed. The clock runs while a method
trains, compilation included, and stands while it is evaluated (every 1,000 steps; PPO after every rollout).
What comes before the first step (imports, environment, networks) is stated beside it as the start. No run
finds a compilation cache. Runs that the `--out` file holds already are not repeated, unless `--fresh`.
"""

import argparse
import copy
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import kernels, learners

GOAL, EPISODES = -160.0, 100
COLUMNS = ("method", "seeds", "solved", "median steps", "median seconds", "least", "most", "start seconds")
# RL Baselines3 Zoo's for Pendulum-v1; one update a step. `noise` is the standard deviation of Gaussian noise.
ZOO_DDPG = {
    "learning_rate": 1e-3, "gamma": 0.98, "buffer_size": 200_000, "learning_starts": 10_000, "batch_size": 256,
    "tau": 0.005, "train_freq": 1, "gradient_steps": 1, "noise": 0.1, "policy_kwargs": {"net_arch": [400, 300]},
}  # fmt: skip
ZOO_SAC = {"learning_rate": 1e-3}
ZOO_PPO = {
    "n_envs": 4, "n_steps": 1024, "gamma": 0.9, "gae_lambda": 0.95, "n_epochs": 10, "ent_coef": 0.0,
    "learning_rate": 1e-3, "clip_range": 0.2, "use_sde": True, "sde_sample_freq": 4,
}  # fmt: skip
# The Zoo waits 10,000 steps before the first update. So here is, too, what comes nearest to our preset
# in the peers' options; they clip no gradient, and their learning rate does not fall.
LIKE_OURS = ZOO_DDPG | {
    "buffer_size": 100_000, "learning_starts": 1_000, "batch_size": 128, "policy_kwargs": {"net_arch": [256, 256]},
}  # fmt: skip


class Method(NamedTuple):
    """A way to learn.

    Attributes:
        make: `make(seed, **settings)` builds the learner.
        module: what must be installed.
        settings: those not named here are the method's own defaults.
        every: environment steps between evaluations.
        most: environment steps after which a run is given up.
        slow: whether it gets `--slow-seeds`.
    """

    make: Callable[..., learners.Learner]
    module: str
    settings: dict[str, Any]
    every: int = 1_000
    most: int = 20_000
    slow: bool = True


def sb3(algorithm: str, settings: dict, every: int = 1_000, most: int = 20_000) -> Method:
    """A method of Stable-Baselines3."""
    settings = {"package": "stable_baselines3", "algorithm": algorithm} | settings
    return Method(learners.peer, "stable_baselines3", settings, every, most)


def sbx(algorithm: str, settings: dict) -> Method:
    """A method of SBX; its critics' learning rate is an option of its own, here that of the actor."""
    settings = {"package": "sbx", "algorithm": algorithm, "qf_learning_rate": 1e-3} | settings
    return Method(learners.peer, "sbx", settings)


METHODS = {
    "ours": Method(learners.preset, "ddpg_jax", {"name": "pendulum"}, slow=False),
    "sb3-ddpg": sb3("DDPG", ZOO_DDPG),
    "sb3-td3": sb3("TD3", ZOO_DDPG),
    "sb3-sac": sb3("SAC", ZOO_SAC),
    "sb3-ppo": sb3("PPO", ZOO_PPO, every=4_096, most=200_000),
    "sbx-ddpg": sbx("DDPG", ZOO_DDPG),
    "sbx-td3": sbx("TD3", ZOO_DDPG),
    "sbx-sac": sbx("SAC", ZOO_SAC),
    "sb3-ddpg-like-ours": sb3("DDPG", LIKE_OURS),
    "sbx-ddpg-like-ours": sbx("DDPG", LIKE_OURS),
}


def run(name: str, seed: int) -> dict:
    """Train one seed until it is solved or given up; `ready` is the time at which training could begin."""
    method = METHODS[name]
    learner = method.make(seed, **copy.deepcopy(method.settings))  # Stable-Baselines3 writes into them
    ready, play = time.time(), learners.make_play(EPISODES)
    seconds, means = 0.0, list[float]()
    while len(means) * method.every < method.most and (not means or means[-1] < GOAL):
        begin = time.perf_counter()
        learner.advance(method.every)
        seconds += time.perf_counter() - begin
        # Other episodes at every evaluation, the same for every method.
        means.append(round(float(play(learner.act, EPISODES * (1_000 * seed + len(means))).mean()), 2))
    return {
        "method": name,
        "seed": seed,
        "settings": method.settings,
        "solved": means[-1] >= GOAL,
        "steps": len(means) * method.every,
        "training_seconds": round(seconds, 3),
        "means": means,
        "ready": ready,
    }


def run_apart(name: str, seed: int, threads: int) -> dict:
    """One run in a process of its own, with the seconds from the process's start until it could train.

    Raises:
        subprocess.CalledProcessError: if it failed; its standard error has been passed on.
    """
    environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-m", "benchmarks.solve", "--run", name, str(seed)]
    begin = time.time()
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(process.stdout.splitlines()[-1])
    return result | {"start_seconds": round(result.pop("ready") - begin, 3)}


def plan(names: Sequence[str], seeds: int, slow_seeds: int) -> list[tuple[str, int]]:
    """Which runs, seed by seed, so that the machine's drift meets all methods alike."""
    number = {name: slow_seeds if METHODS[name].slow else seeds for name in names}
    return [(name, seed) for seed in range(max(number.values())) for name in names if seed < number[name]]


def summarize(runs: list[dict]) -> list[dict]:
    """A row for each method: medians over its seeds, and the range of the seconds."""
    rows = []
    for name in [name for name in METHODS if any(run["method"] == name for run in runs)]:
        mine = [run for run in runs if run["method"] == name]
        steps, start, training = ([run[key] for run in mine] for key in ("steps", "start_seconds", "training_seconds"))
        solved, median_steps = sum(run["solved"] for run in mine), round(float(np.median(steps)))
        seconds = [float(np.median(training)), min(training), max(training), float(np.median(start))]
        row = (name, len(mine), solved, median_steps, *(round(value, 1) for value in seconds))
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


def held(args: argparse.Namespace) -> list[dict]:
    """Runs of the `--out` file whose settings are still those of their method; none that other kernels made."""
    # Not above, as in `main`.
    from ddpg_jax.native import library

    if args.fresh or not args.out or not args.out.exists():
        return []
    file = json.loads(args.out.read_text())
    runs = file["results"]["runs"] if file.get("kernels") == library.name() else []
    return [run for run in runs if run["method"] in METHODS and run["settings"] == METHODS[run["method"]].settings]


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=10, help="of ours (default 10)")
    parser.add_argument("--slow-seeds", type=int, default=2, help="of each peer (default 2)")
    parser.add_argument("--fresh", action="store_true", help="repeat the runs that the file holds")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write, after each run")
    parser.add_argument("--run", nargs=2, metavar=("METHOD", "SEED"), help="this run only, in this process")
    kernels.add_option(parser)
    return parser.parse_args()


def main() -> None:
    """Run the plan and print the table."""
    args = parse()
    if args.run:
        print(json.dumps(run(args.run[0], int(args.run[1]))))
        return
    kernels.settle(args.kernels)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU is shared with the runs
    # Not above: a single run must not start with packages that its method does not need.
    from benchmarks import measure

    names = [name for name in args.methods if measure.have(METHODS[name].module, "peers")]
    runs = held(args)
    for name, seed in plan(names, args.seeds, args.slow_seeds):
        if any((run["method"], run["seed"]) == (name, seed) for run in runs):
            continue
        try:
            runs.append(run_apart(name, seed, measure.num_threads()))
        except subprocess.CalledProcessError as error:
            print(f"failed: {name}, seed {seed}, exit code {error.returncode}", file=sys.stderr)
            continue
        print({key: value for key, value in runs[-1].items() if key not in ("settings", "means")}, flush=True)
        measure.write(args, "solve", {"goal": GOAL, "episodes": EPISODES, "table": summarize(runs), "runs": runs})
    title = f"{learners.ENV} until {EPISODES} episodes average {GOAL:g}"
    measure.show(title, COLUMNS, [[row[column] for column in COLUMNS] for row in summarize(runs)])


if __name__ == "__main__":
    main()

"""Our learning and the eager PyTorch baseline's, the same settings: `python -m benchmarks.learning_parity`.

Both train Pendulum-v1 under the `pendulum` preset and are evaluated on the same greedy episodes. Over seeds:
the interquartile mean and its 95 % bootstrap interval. The two must overlap. Seeds that the `--out` file
holds already are not repeated, unless `--fresh`; `--processes` trains several at once, each on cores of
its own, since nothing here is a measurement of speed.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import pathlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np

from benchmarks import kernels, learners, measure
from ddpg_jax.native import library
from ddpg_jax.presets import find_preset

PRESET = "pendulum"
SIDES = {"ddpg_jax": learners.ours, "PyTorch": learners.pytorch}
RESAMPLES = 10_000


def train(side: str, seed: int, every: int, episodes: int) -> dict:
    """Train one seed and evaluate it every so many steps."""
    config = dataclasses.replace(find_preset(PRESET).config, seed=seed)
    learner, play = SIDES[side](config), learners.make_play(episodes)
    steps = range(every, config.train.total_steps + 1, every)
    means = []
    for step in steps:
        learner.advance(every)
        # Other episodes for every seed and evaluation, the same on both sides.
        means.append(round(float(play(learner.act, episodes * (1_000 * seed + step // every)).mean()), 2))
    return {"side": side, "seed": seed, "steps": list(steps), "means": means}


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean without the lowest and the highest quarter (rounded down) of the seeds, `[..., S] -> [...]`."""
    cut = values.shape[-1] // 4
    return np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1)


def bootstrap(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Interquartile means of resampled seeds, `[T, S] -> [T, RESAMPLES]`; a seed's curve is drawn as a whole."""
    number = values.shape[-1]
    chosen = np.random.default_rng(seed).integers(number, size=(RESAMPLES, number))
    return interquartile_mean(values[:, chosen])


def interval(samples: np.ndarray) -> np.ndarray:
    """The middle 95 %, `[T, R] -> [2, T]`."""
    return np.quantile(samples, [0.025, 0.975], axis=-1)


def curve(values: np.ndarray, samples: np.ndarray) -> dict:
    """One side's figures, from `[T, S]` and the interquartile means of its resampled seeds."""
    low, high = interval(samples)
    figures = {"middle": interquartile_mean(values), "low": low, "high": high}
    return {name: figure.round(2).tolist() for name, figure in figures.items()} | {
        "seeds": values.shape[1],
        "final mean": round(float(values[-1].mean()), 2),
        "final worst seed": round(float(values[-1].min()), 2),
    }


def summarize(runs: list[dict]) -> dict:
    """Curves of both sides, at how many evaluations their intervals overlap, and their difference.

    Both shares are of the evaluations after the first update; before it nothing can differ.
    """
    values, samples = {}, {}
    for index, side in enumerate(SIDES):
        mine = sorted((run for run in runs if run["side"] == side), key=lambda run: run["seed"])
        if len(mine) < 2:
            return {}
        values[side] = np.array([run["means"] for run in mine]).T
        samples[side] = bootstrap(values[side], index)
    ours, theirs = (interval(samples[side]) for side in SIDES)
    middles = [interquartile_mean(values[side]) for side in SIDES]
    low, high = interval(samples["ddpg_jax"] - samples["PyTorch"])
    learned = np.array(runs[0]["steps"]) > find_preset(PRESET).config.train.update_after
    overlap, zero = (ours[0] <= theirs[1]) & (theirs[0] <= ours[1]), (low <= 0) & (high >= 0)
    return {
        "steps": runs[0]["steps"],
        "curves": {side: curve(values[side], samples[side]) for side in SIDES},
        "overlap": round(float(overlap[learned].mean()), 3),
        "difference": {
            "middle": (middles[0] - middles[1]).round(2).tolist(),
            "low": low.round(2).tolist(),
            "high": high.round(2).tolist(),
            "holds zero": round(float(zero[learned].mean()), 3),
        },
    }


def held(args: argparse.Namespace) -> list[dict]:
    """Runs of the `--out` file that were made as these are."""
    if args.fresh or not args.out or not args.out.exists():
        return []
    results = json.loads(args.out.read_text())["results"]
    return results["runs"] if results["made"] == made(args) else []


def made(args: argparse.Namespace) -> dict:
    """What every run depends on, as JSON gives it back."""
    config = dataclasses.asdict(find_preset(PRESET).config)
    depends = {"every": args.every, "episodes": args.episodes, "kernels": library.name(), "config": config}
    return json.loads(json.dumps(depends))


def pin(shares: multiprocessing.Queue) -> None:
    """Keep this worker to cores of its own; XLA takes as many threads as it has cores."""
    import torch

    cores = shares.get()
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))


def train_all(todo: list[tuple[str, int]], args: argparse.Namespace) -> Iterator[dict]:
    """Runs as they end."""
    cores, context = sorted(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")
    shares = context.Queue()
    for index in range(args.processes):
        shares.put(cores[index :: args.processes])
    with ProcessPoolExecutor(args.processes, context, pin, (shares,)) as pool:
        futures = [pool.submit(train, side, seed, args.every, args.episodes) for side, seed in todo]
        for future in as_completed(futures):
            yield future.result()


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="of each side (default 10)")
    parser.add_argument("--every", type=int, default=500, help="steps between evaluations (default 500)")
    parser.add_argument("--episodes", type=int, default=20, help="of each evaluation (default 20)")
    parser.add_argument("--processes", type=int, default=1, help="seeds trained at once, at most the cores (default 1)")
    parser.add_argument("--fresh", action="store_true", help="repeat the runs that the file holds")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write after each run, and a picture beside it")
    return kernels.parse(parser)


def main() -> None:
    """Train what is missing, writing after each run; then print and draw both sides."""
    args = parse()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU is shared by all processes
    if not measure.have("torch", "baseline"):
        return
    runs, results = held(args), dict[str, Any]()
    done = {(run["side"], run["seed"]) for run in runs}
    todo = [(side, seed) for seed in range(args.seeds) for side in SIDES if (side, seed) not in done]
    for run in train_all(todo, args):
        runs.append(run)
        print(run["side"], run["seed"], run["means"][-1], flush=True)
        results = {"made": made(args), **summarize(runs), "runs": runs}
        measure.write(args, "learning_parity", results)
    results = {"made": made(args), **summarize(runs), "runs": runs}
    if "curves" in results:
        report(results)
        if args.out and measure.have("matplotlib", "plot"):
            # Needed for the picture only.
            from benchmarks.plot import draw_parity

            draw_parity(results, args.out.with_suffix(".png"))


def report(results: dict) -> None:
    """Print both sides' figures."""
    columns = ("seeds", "final mean", "final worst seed")
    rows = [(side, *(found[column] for column in columns)) for side, found in results["curves"].items()]
    measure.show(f"{learners.ENV}, preset {PRESET}", ("", *columns), rows)
    print(f"intervals overlap at {results['overlap']:.0%} of the evaluations after the first update")


if __name__ == "__main__":
    main()

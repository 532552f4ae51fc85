"""What the report of a long run costs: `python -m benchmarks.long_report`.

Makes the rows of a run of 1,000,000 updates, and writes its report in a process of its own, several times: seconds
with everything that is imported, memory, and the size of the page.
"""

import argparse
import dataclasses
import json
import math
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import kernels, measure
from ddpg_jax.presets import find_preset
from ddpg_jax.runs.storage.directory import METRICS, create_run

TOTAL = 1_000_000


def rows(log_every: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Rows as a healthy training on Pendulum writes them, with noise."""
    for step in range(log_every, TOTAL + 1, log_every):
        learned = 1 - math.exp(-step / 1e5)
        q = -150 + 100 * learned
        yield {
            "kind": "update",
            "step": step,
            "seconds": round(step / 480, 3),
            "skipped": 0,
            "critic_loss": 0.1 * math.exp(rng.gauss(0, 0.5)),
            "actor_loss": -q + rng.gauss(0, 3),
            "q": q + rng.gauss(0, 3),
            "target": q + rng.gauss(0, 3),
            "td_error": abs(rng.gauss(0, 0.3)),
            "critic_grad_norm": math.exp(rng.gauss(0, 1)),
            "actor_grad_norm": math.exp(rng.gauss(-1, 1)),
            "saturation": min(1.0, abs(rng.gauss(0.2, 0.1))),
        }
        for _ in range(step // 200 - (step - log_every) // 200):
            yield {"kind": "episode", "step": step, "env": 0, "return": 10 * q + rng.gauss(0, 80), "length": 200}
        if step % 500 == 0:
            actions = [[math.sin(state + 5 * learned)] for state in range(32)]
            values = [q + 4 * state + rng.gauss(0, 2) for state in range(32)]
            yield {"kind": "probe", "step": step, "action": actions, "q": values, "action_stddev": 0.6}
        if step % 1000 == 0:
            returns = [10 * q + rng.gauss(0, 60) for _ in range(10)]
            discounted = [0.4 * value for value in returns]
            starts = [value + rng.gauss(0, 5) for value in discounted]
            yield {
                "kind": "evaluation", "step": step, "returns": returns, "lengths": [200] * 10,
                "discounted_returns": discounted, "q": starts,
            }  # fmt: skip


def make_run(path: pathlib.Path, log_every: int) -> None:
    """A run directory as such a training leaves it, without its checkpoints."""
    config = find_preset("pendulum").config
    train = dataclasses.replace(config.train, total_steps=TOTAL, log_every=log_every)
    create_run(path, dataclasses.replace(config, train=train), "pendulum")
    with (path / METRICS).open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(log_every, random.Random(0)))


def cost(log_every: int, rounds: int) -> dict[str, Any]:
    """Write the report so often."""
    with tempfile.TemporaryDirectory() as place:
        run = pathlib.Path(place) / "run"
        make_run(run, log_every)
        seconds = []
        for _ in range(rounds):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-m", "ddpg_jax.runs.console.cli", "report", str(run)], check=True)
            seconds.append(time.perf_counter() - begin)
        return {
            "metrics_mb": round((run / METRICS).stat().st_size / 1e6, 2),
            "page_mb": round((run / "report.html").stat().st_size / 1e6, 2),
            "seconds_quartiles": [round(float(value), 2) for value in np.percentile(seconds, [25, 50, 75])],
            "peak_mb_so_far": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3),
        }


def main() -> None:
    """Run it and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log-every", type=int, nargs="+", default=[500, 1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, default=None)
    options = kernels.parse(parser)
    results = {f"log_every {each}": cost(each, options.rounds) for each in options.log_every}
    for name, result in results.items():
        print(name, result)
    measure.write(options, "long_report", results)


if __name__ == "__main__":
    main()

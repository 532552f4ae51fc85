"""Does a long run stay the same? `python -m benchmarks.durability.soak`.

`ddpg-jax train` on a compiled or a Gymnasium environment, by default with small networks, in this process, looked
at from a thread once a second: resident memory, open files, and programs compiled. The slope of memory is fitted
over the steps after the first minute, or after the first third where a run is shorter than three minutes. Files
are open while a checkpoint is written, so the least of each half is what must not grow. The evaluation at the
end has programs of its own, which are counted apart.
"""

import argparse
import pathlib
import tempfile
import threading
import time
from typing import Any, NamedTuple

import jax
import numpy as np
import psutil

from benchmarks import kernels, measure
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.storage.directory import METRICS

COMPILED = "/jax/core/compile/backend_compile_duration"
OPTIONS = {
    "replay.capacity": 20_000,
    "train.start-steps": 1000,
    "train.update-after": 1000,
    "train.log-every": 500,
    "train.eval-every": 10_000,
    "train.eval-episodes": 10,
    "checkpoint.every": 50_000,
}


class Sample(NamedTuple):
    """One look at the process."""

    seconds: float
    step: int
    resident: int
    open_files: int
    compiled: int


def watch(metrics: pathlib.Path, samples: list[Sample], compiled: list[float], over: threading.Event) -> None:
    """Look once a second."""
    process, begin = psutil.Process(), time.perf_counter()
    while not over.wait(1.0):
        seconds = time.perf_counter() - begin
        samples.append(Sample(seconds, last_step(metrics), process.memory_info().rss, process.num_fds(), len(compiled)))


def last_step(metrics: pathlib.Path) -> int:
    """Environment steps of the last complete row."""
    if not metrics.exists():
        return 0
    with metrics.open("rb") as file:
        file.seek(max(0, metrics.stat().st_size - 2**16))
        lines = file.read().decode().split("\n")[:-1]
    steps = [int(line.split('"step": ')[1].split(",")[0].rstrip("}")) for line in lines if '"step": ' in line]
    return max(steps, default=0)


def soak(env: str, steps: int, hidden: int, batch: int) -> dict[str, Any]:
    """Train so many steps and say what grew."""
    compiled: list[float] = []

    def count(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED:
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(count)
    sizes = {"agent.hidden-sizes": f"{hidden} {hidden}", "replay.batch-size": batch}
    options = [text for name, value in (OPTIONS | sizes).items() for text in (f"--{name}", *str(value).split())]
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as place:
        run, over = pathlib.Path(place) / "run", threading.Event()
        watcher = threading.Thread(target=watch, args=(run / METRICS, samples, compiled, over))
        watcher.start()
        status = cli.main(["train", "--env", env, "--train.total-steps", str(steps), "--run-dir", str(run), *options])
        over.set()
        watcher.join()
    if status:
        raise RuntimeError(f"{env}: exit code {status}")
    return report(samples)


def report(samples: list[Sample]) -> dict[str, Any]:
    """Slopes and counts after the first minute."""
    lasts, total = samples[-1].seconds, samples[-1].step
    training = [sample for sample in samples if sample.step < total]
    late = [sample for sample in training if sample.seconds >= min(60.0, lasts / 3)]
    steps, resident = np.array([sample.step for sample in late]), np.array([sample.resident for sample in late])
    slope = np.polyfit(steps, resident, 1)[0] * 100_000 / 2**20
    halves = late[: len(late) // 2], late[len(late) // 2 :]
    return {
        "steps": total,
        "seconds": round(lasts, 1),
        "looks": len(late),
        "resident_mib_first_and_last": [round(float(value) / 2**20, 1) for value in (resident[0], resident[-1])],
        "mib_per_100000_steps": round(float(slope), 3),
        "compiled_before": late[0].compiled,
        "compiled_after_while_training": late[-1].compiled - late[0].compiled,
        "compiled_by_the_final_evaluation": samples[-1].compiled - late[-1].compiled,
        "least_open_files_by_half": [min(sample.open_files for sample in half) for half in halves],
    }


def main() -> None:
    """Run it and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="gymnax/Pendulum-v1")
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--hidden", type=int, default=32, help="width of both hidden layers")
    parser.add_argument("--batch", type=int, default=32, help="rows of each update")
    parser.add_argument("--out", type=pathlib.Path, default=None)
    options = kernels.parse(parser)
    result = soak(options.env, options.steps, options.hidden, options.batch)
    for name, value in result.items():
        print(f"{name}: {value}")
    measure.write(options, "durability.soak", {options.env: result})


if __name__ == "__main__":
    main()

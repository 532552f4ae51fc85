"""Training speed of this checkout beside another's: `python -m benchmarks.builds /path/to/other/checkout`.

Each build trains in a process of its own, and the processes take turns (A B A B ...), so that both meet the same
machine. A ratio is taken within a round: above 1, this checkout is the faster one. Both processes are started anew
several times, since where one's memory lies makes it faster or slower by some per cent for as long as it lives. The
other checkout needs its compiled kernels beside its sources, as `pip install -e .` leaves them.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

HERE = pathlib.Path(__file__).parents[1]
FOREVER = 2**31 - 1_000_000
RATIOS = {"this / other": ("this", "other")}
# Environment, environments N, batch size (0: nothing is learned), and other settings of the agent.
CASES: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "Gymnasium, batch 64": ("Pendulum-v1", 1, 64, {"normalization": "none"}),
    "Gymnasium, batch 256": ("Pendulum-v1", 1, 256, {"normalization": "none"}),
    "Gymnasium, batch 256, LayerNorm": ("Pendulum-v1", 1, 256, {}),
    "Gymnasium, batch 64, running statistics": (
        "Pendulum-v1", 1, 64, {"normalization": "none", "normalize_obs": True, "normalize_reward": True},
    ),
    "Gymnasium, 8 environments, batch 64": ("Pendulum-v1", 8, 64, {"normalization": "none"}),
    "compiled, batch 64": ("gymnax/Pendulum-v1", 1, 64, {"normalization": "none"}),
    "Gymnasium, collecting": ("Pendulum-v1", 1, 0, {"normalization": "none"}),
}  # fmt: skip


def make_training(case: str) -> Callable[[], int]:
    """A function that trains one chunk and returns its environment steps; of whichever `ddpg_jax` is importable."""
    import jax

    import ddpg_jax as dj

    env_id, num_envs, batch_size, agent = CASES[case]
    train = dj.TrainConfig(
        num_envs=num_envs,
        total_steps=FOREVER,
        start_steps=1_000,
        update_after=1_000 if batch_size else FOREVER - 1,
        updates_per_step=num_envs,
        log_every=500 if batch_size else 2_000,
    )
    replay = dj.ReplayConfig(capacity=100_000, batch_size=batch_size or 64)
    trainer = dj.make_trainer(
        dj.envs.make(env_id, num_envs), dj.Config(agent=dj.DDPGConfig(**agent), replay=replay, train=train)
    )
    key = jax.random.key(0)
    state = [trainer.init(key)]

    def run() -> int:
        before = int(state[0].step)
        state[0], metrics = trainer.run(key, state[0])
        jax.block_until_ready((state[0], metrics))
        return int(state[0].step) - before

    while int(state[0].step) < 2_000:
        run()
    return run


def serve(case: str) -> None:
    """Answer each line of standard input, a number of seconds, with environment steps a second over about that long."""
    run = make_training(case)
    print("ready", flush=True)
    for line in sys.stdin:
        begin, steps = time.perf_counter(), run()
        while time.perf_counter() - begin < float(line):
            steps += run()
        print(steps / (time.perf_counter() - begin), flush=True)


@contextlib.contextmanager
def worker(checkout: pathlib.Path, case: str) -> Iterator[Callable[[float], float]]:
    """A process that trains with a checkout's package; a function that measures its rate."""
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", case],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
    ) as process:
        ask, answer = process.stdin, process.stdout
        if ask is None or answer is None or answer.readline() != "ready\n":
            raise RuntimeError(f"{checkout}: no training could be started")
        yield lambda seconds: exchange(ask, answer, seconds)
        process.kill()


def exchange(ask: IO[str], answer: IO[str], seconds: float) -> float:
    """One measurement of a worker."""
    print(seconds, file=ask, flush=True)
    return float(answer.readline())


def compare(other: pathlib.Path, case: str, starts: int, rounds: int, seconds: float) -> dict:
    """Rates of both builds, in turns, and their ratio within each round."""
    import numpy as np

    from benchmarks.measure import summarize

    rates: dict[str, list[float]] = {"other": [], "this": []}
    for _ in range(starts):
        with worker(other, case) as before, worker(HERE, case) as after:
            for turn in range(rounds):
                # Who is first changes from round to round: a neighbour's work may have a rhythm of its own.
                order = [("other", before), ("this", after)]
                for name, measure in order if turn % 2 == 0 else order[::-1]:
                    rates[name].append(measure(seconds))
    return {"case": case, "starts": starts, **summarize({name: np.array(rate) for name, rate in rates.items()}, RATIOS)}


def main() -> None:
    """Compare every case, print the tables, write the figures after each."""
    from benchmarks import kernels
    from benchmarks.measure import arguments, show_summary, write

    parser = arguments(__doc__, rounds=5, seconds=0.7)
    parser.add_argument("other", type=pathlib.Path, help="another checkout of this repository, its kernels compiled")
    parser.add_argument("--starts", type=int, default=4, help="times that both processes are started (default: 4)")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES), help="default: all")
    args = kernels.parse(parser)
    results: list[dict] = []
    for case in args.cases:
        results.append(compare(args.other.absolute(), case, args.starts, args.rounds, args.seconds))
        show_summary(case, results[-1])
        write(args, "builds", results)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main()

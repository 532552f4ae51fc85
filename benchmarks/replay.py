"""The memory's cost and size for capacities from 1e3 to 1e7, against flashbax: `python -m benchmarks.replay`.

One step adds a transition and samples a batch, inside a compiled scan whose state is donated. flashbax's item
buffer stores the same leaves; ours also folds n steps and makes discounts. NumPy (one array of rows, a write, a
gather) shows what the machine's caches cost by themselves. These figures have no bar. What a large memory costs is
measured by a training step: the same with an update, for two capacities. Every memory is full. Bytes: predicted by
`Replay.num_bytes`, and by how much a fresh process grows when it makes and fills the memory, its programs being
compiled before.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable

import jax

from benchmarks import kernels, measure
from benchmarks.memories import (
    BATCH,
    CHUNK,
    ROWS,
    flashbax,
    make_replay,
    make_spec,
    numpy_rows,
    our_step,
    ours,
    ours_learning,
    scan,
)
from ddpg_jax.types import EnvSpec, Tree

CAPACITIES = [10**power for power in range(3, 8)]
SMALL, LARGE = 10**4, 10**6  # capacities that are compared


def in_scientific(capacity: int) -> str:
    """1e6, for a million."""
    return f"{capacity:.0e}".replace("e+0", "e")


def speed(name: str, args: argparse.Namespace) -> dict:
    """Steps a second of everyone at every capacity, in turns, and the ratios of time."""
    spec, makers = make_spec(name), {"ours": ours, "NumPy": numpy_rows}
    if args.flashbax:
        makers["flashbax"] = flashbax
    contenders = {
        f"{who} {in_scientific(capacity)}": make(spec, capacity)
        for capacity in args.capacities
        for who, make in makers.items()
    }
    small, large = in_scientific(SMALL), in_scientific(LARGE)
    ratios = {f"{who}: time at {large} / {small}": (f"{who} {small}", f"{who} {large}") for who in makers}
    for capacity in map(in_scientific, args.capacities):
        ratios[f"ours / flashbax, rates at {capacity}"] = (f"ours {capacity}", f"flashbax {capacity}")
    return measure.summarize(measure.take_turns(contenders, args.rounds, args.seconds), ratios)


def speed_learning(name: str, args: argparse.Namespace) -> dict:
    """The same with an update, for the two capacities that are compared."""
    spec = make_spec(name)
    contenders = {in_scientific(capacity): ours_learning(spec, capacity) for capacity in (SMALL, LARGE)}
    small, large = contenders
    ratios = {f"with an update: time at {large} / {small}": (small, large)}
    return measure.summarize(measure.take_turns(contenders, args.rounds, args.seconds), ratios)


def resident() -> int:
    """Bytes held now: by this process, or on an accelerator by JAX."""
    import psutil

    statistics = jax.devices()[0].memory_stats()
    return statistics["bytes_in_use"] if statistics else psutil.Process().memory_info().rss


def prepare(spec: EnvSpec, capacity: int) -> Callable[[], Tree]:
    """Compile everything that makes a memory, writes to every row, and adds and samples; `live()` then does it."""
    replay, key = make_replay(spec, capacity), jax.random.key(0)
    struct = jax.eval_shape(replay.init)
    make = jax.jit(replay.init).lower().compile()
    write = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0).lower(struct).compile()
    work = scan(our_step(spec, replay), CHUNK).lower(struct, key).compile()
    return lambda: jax.block_until_ready(work(write(make()), key))


def growth(name: str, capacity: int) -> dict:
    """How much this process, which should be fresh, grows by a full memory at work."""
    spec = make_spec(name)
    prepare(spec, CAPACITIES[0])()  # threads and allocator
    live = prepare(spec, capacity)
    before = resident()
    state = live()
    grown, predicted = resident() - before, make_replay(spec, capacity).num_bytes
    del state
    return {
        "rows": name,
        "capacity": capacity,
        "predicted": predicted,
        "resident": grown,
        "resident / predicted": round(grown / predicted, 4),
    }


def growth_apart(name: str, capacity: int) -> dict:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.replay", "--resident", name, str(capacity)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def parse() -> argparse.Namespace:
    """The options."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="whose transitions (default: both)")
    parser.add_argument("--capacities", type=float, nargs="+", default=CAPACITIES, help="(default: 1e3 to 1e7)")
    parser.add_argument("--resident", nargs=2, metavar=("ROWS", "CAPACITY"), help="this measurement only, right here")
    args = kernels.parse(parser)
    args.capacities = [int(capacity) for capacity in args.capacities]
    return args


def main() -> None:
    """Measure, print the tables, write the figures."""
    args = parse()
    if args.resident:
        print(json.dumps(growth(args.resident[0], int(args.resident[1]))))
        return
    args.flashbax = measure.have("flashbax", "peers")
    results: dict[str, list] = {"memory": [], "add and sample": [], "add, sample and update": []}
    if measure.have("psutil", "test"):
        results["memory"] = [growth_apart(name, capacity) for name in args.rows for capacity in args.capacities]
        measure.show("bytes", list(results["memory"][0]), [list(row.values()) for row in results["memory"]])
    for title, time in (("add and sample", speed), ("add, sample and update", speed_learning)):
        for name in args.rows:
            summary = time(name, args)
            results[title].append({"rows": name, "batch_size": BATCH, **summary})
            measure.show_summary(f"{title}, batch {BATCH}, rows of {name}", summary)
            measure.write(args, "replay", results)


if __name__ == "__main__":
    main()

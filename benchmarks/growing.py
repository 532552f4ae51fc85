"""What growing costs: the time of an update or step as curves, and where each bends: `python -m benchmarks.growing`.

One thing at a time around batch 256, 256 x 256: the batch, the width, the number of seeds in one program (one update
of all of them), the memory's capacity (one training step on the compiled Pendulum), and the number of environments
(one step of all of them, acting and storing without an update). A curve bends where its local exponent
d log(time) / d log(x) reaches, for good, half of the exponent with which its work grows (1, or 2 for the width). The
cause is what would take at least half of the time at the speed measured in the same rounds: products, memory traffic,
or the environments' own steps; or else overhead (dispatch, small kernels, the host). Memory traffic is counted at the
speed of main memory, which is too slow for what stays in a cache.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from benchmarks import ceiling, contenders, kernels, measure
from benchmarks.contenders import AGENT, CHUNK, ENV, FOREVER
from benchmarks.measure import Contender
from benchmarks.update import ACTION_DIM, DEFAULT, OBS_DIM, ours_scan
from ddpg_jax import envs
from ddpg_jax.envs.protocol import Env
from ddpg_jax.replay.buffer import ReplayState, make_replay

UPDATES = 50  # of one scan
real_transitions = functools.cache(contenders.fill_replay)
HALF = 0.5


class Point(NamedTuple):
    """One point of a curve.

    Attributes:
        contender: what is timed.
        each: what the contender counts, in one of what the curve counts (updates of all seeds, say).
        counts: what one of these takes: products' operations, bytes of memory traffic, steps of one environment.
    """

    contender: Contender
    each: int
    counts: dict[str, float]


def update_counts(batch: int = DEFAULT, width: int = DEFAULT, seeds: int = 1) -> dict[str, float]:
    """Operations and bytes of one update."""
    sizes = (batch, OBS_DIM, ACTION_DIM, (width, width))
    return {"arithmetic": seeds * ceiling.update_flops(*sizes), "memory": seeds * ceiling.update_bytes(*sizes)}


def batch_point(batch: int) -> Point:
    """Updates with so many rows."""
    return Point(ours_scan(AGENT, batch, UPDATES), 1, update_counts(batch=batch))


def width_point(width: int) -> Point:
    """Updates with hidden layers of so many units."""
    config = dataclasses.replace(AGENT, hidden_sizes=(width, width))
    return Point(ours_scan(config, DEFAULT, UPDATES), 1, update_counts(width=width))


def seeds_point(seeds: int) -> Point:
    """Updates of so many seeds in one program."""
    return Point(ours_scan(AGENT, DEFAULT, UPDATES, seeds), seeds, update_counts(seeds=seeds))


def capacity_point(capacity: int) -> Point:
    """Training steps, with one update each, on a full memory of so many rows."""
    rows = {dtype: jnp.resize(array, (capacity, *array.shape[1:])) for dtype, array in real_transitions().rows.items()}
    memory = ReplayState(rows, jnp.int32(0), jnp.int32(capacity))
    config = contenders.make_config(DEFAULT, capacity=capacity)
    return Point(contenders.training(envs.make(f"gymnax/{ENV}"), config, memory), 1, update_counts())


def collecting(env: Env) -> Contender:
    """Acting, stepping and storing, without updates."""
    config = contenders.make_config(DEFAULT, env.num_envs, 1, FOREVER - 1, log_every=CHUNK * env.num_envs)
    contender = contenders.training(env, config, make_replay(env.spec, config.replay, env.num_envs).init())
    contender.run()  # the steps before `start_steps`, another program
    return contender


def acting_counts(num_envs: int) -> dict[str, float]:
    """Operations of the actor's forward pass; its weights stay in a cache."""
    return {"arithmetic": 2 * num_envs * sum(ceiling.layers((OBS_DIM, *AGENT.hidden_sizes, ACTION_DIM)))}


def compiled_point(num_envs: int) -> Point:
    """Steps of so many environments that are compiled as well."""
    return Point(collecting(envs.make(f"gymnax/{ENV}", num_envs)), num_envs, acting_counts(num_envs))


def gymnasium_point(num_envs: int) -> Point:
    """Steps of so many environments of Gymnasium."""
    counts = {**acting_counts(num_envs), "environment": num_envs}
    return Point(collecting(envs.make(ENV, num_envs)), num_envs, counts)


CURVES: dict[str, tuple[Callable[[int], Point], tuple[int, ...]]] = {
    "batch": (batch_point, (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)),
    "width": (width_point, (32, 64, 128, 256, 512, 1024)),
    "seeds": (seeds_point, (1, 2, 4, 8, 16)),
    "capacity": (capacity_point, (1_000, 10_000, 100_000, 1_000_000, 10_000_000)),
    "compiled environments": (compiled_point, (1, 2, 4, 8, 16, 32, 64)),
    "Gymnasium environments": (gymnasium_point, (1, 2, 4, 8, 16, 32, 64)),
}


def measure_curve(name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """All points of one curve and the machine's limits, taking turns; times in microseconds."""
    make, xs = CURVES[name]
    points = {x: make(x) for x in xs}
    limits = {**ceiling.large_products(), "copying": ceiling.copying(), "environment": contenders.env_alone()}
    timed = {str(x): point.contender for x, point in points.items()}
    rates = measure.take_turns({**timed, **limits}, rounds, seconds)
    medians = {limit: float(np.median(rates[limit])) for limit in limits}
    speeds = {
        "arithmetic": max(medians[limit] for limit in limits if limit.endswith("^3")),
        "memory": medians["copying"],
        "environment": medians["environment"],
    }
    times = [measure.quartiles(1e6 * point.each / rates[str(x)]) for x, point in points.items()]
    floors = [{what: 1e6 * count / speeds[what] for what, count in point.counts.items()} for point in points.values()]
    curve = {"curve": name, "x": list(xs), "microseconds": times, "floors": floors, "speeds": speeds}
    return {**curve, **describe(list(xs), [time[1] for time in times], floors)}


def describe(xs: list[int], times: list[float], floors: list[dict[str, float]]) -> dict[str, Any]:
    """Local exponents between neighbours, the bend, the causes at all points, and a sentence of these."""
    slopes = np.diff(np.log(times)) / np.diff(np.log(xs))
    growth = max(exponent(xs, [floor[name] for floor in floors], 0, -1) for name in floors[0])
    flat = max((i + 1 for i, slope in enumerate(slopes) if slope < HALF * max(growth, 1)), default=0)
    causes = [cause(time, floor) for time, floor in zip(times, floors, strict=True)]
    parts = []
    if flat:
        parts.append(f"{xs[0]:,} to {xs[flat]:,}: exponent {exponent(xs, times, 0, flat):.2f}, {causes[0]} at first")
    if flat < len(slopes):
        last = len(slopes)
        parts.append(
            f"{xs[flat]:,} to {xs[last]:,}: exponent {exponent(xs, times, flat, last):.2f}, {causes[last]} at last"
        )
    bend = xs[flat] if 0 < flat < len(slopes) else None
    return {"exponents": [round(float(s), 3) for s in slopes], "bend": bend, "causes": causes, "text": "; ".join(parts)}


def exponent(xs: list[int], times: list[float], begin: int, end: int) -> float:
    """The slope d log(time) / d log(x) between two points."""
    return math.log(times[end] / times[begin]) / math.log(xs[end] / xs[begin])


def cause(time: float, floor: Mapping[str, float]) -> str:
    """What takes at least half of the time at the measured speed, with its share; or else overhead."""
    name = max(floor, key=floor.__getitem__)
    share = floor[name] / time
    return f"{name} ({share:.2f})" if share >= HALF else f"overhead ({name} {share:.2f})"


def draw(curves: list[dict[str, Any]], path: pathlib.Path) -> None:
    """A panel for each curve: times with their quartiles, what they cannot be below, and the bend."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, -(-len(curves) // 2), figsize=(11, 6), layout="constrained", squeeze=False)
    for axes in panels.flat[len(curves) :]:
        axes.set_visible(False)
    for axes, curve in zip(panels.flat, curves, strict=False):
        lower, median, upper = zip(*curve["microseconds"], strict=True)
        axes.fill_between(curve["x"], lower, upper, alpha=0.3, linewidth=0)
        axes.loglog(curve["x"], median, "o-", markersize=4, label="measured (quartiles)")
        for name, style in (("arithmetic", "--"), ("memory", ":"), ("environment", "-.")):
            if name in curve["floors"][0]:
                axes.plot(
                    curve["x"], [floor[name] for floor in curve["floors"]], style, color="gray", label=f"{name} alone"
                )
        if curve["bend"]:
            axes.axvline(curve["bend"], color="tab:red", linewidth=1, label="bend")
        axes.set_title(curve["curve"])
        axes.set_ylabel("microseconds")
        axes.set_xticks(curve["x"], [f"{x:,}" if x < 10_000 else f"{x:.0e}" for x in curve["x"]], fontsize=7)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=150)


def show(curve: dict[str, Any]) -> None:
    """A table of one curve, and its sentence."""
    rows = [
        (f"{x:,}", *(f"{value:,.1f}" for value in time), "" if slope is None else f"{slope:.2f}", why)
        for x, time, slope, why in zip(
            curve["x"], curve["microseconds"], [None, *curve["exponents"]], curve["causes"], strict=True
        )
    ]
    columns = (curve["curve"], "lower quartile (us)", "median (us)", "upper quartile (us)", "exponent", "cause (share)")
    measure.show(f"{curve['curve']}: {curve['text']}", columns, rows)


def main() -> None:
    """Measure the curves, print and draw them."""
    parser = measure.arguments(__doc__, rounds=7, seconds=0.25)
    parser.add_argument("--curves", nargs="+", choices=CURVES, default=list(CURVES), help="default: all")
    parser.add_argument("--picture", type=pathlib.Path, help="image to draw")
    args = kernels.parse(parser)
    curves: list[dict[str, Any]] = []
    for name in args.curves:
        curves.append(measure_curve(name, args.rounds, args.seconds))
        show(curves[-1])
        measure.write(args, "growing", curves)
    if args.picture and measure.have("matplotlib", "plot"):
        draw(curves, args.picture)


if __name__ == "__main__":
    main()

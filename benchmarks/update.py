"""Updates a second of the compiled update, against PyTorch and the machine's limits: `python -m benchmarks.update`.

Plain Adam, global-norm clipping, no LayerNorm; batches that are ready, since sampling is not timed. Measured are one
jitted call for each update, and a scan over many; PyTorch eager and compiled; and, in the same rounds, the
ceiling (benchmarks/ceiling.py). On a GPU also 64 seeds in one program, and PyTorch with CUDA graphs.
"""

import argparse
import dataclasses
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import ceiling, kernels, measure
from benchmarks.contenders import AGENT
from benchmarks.measure import Contender
from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.state import Agent, AgentState, UpdateInfo
from ddpg_jax.config import DDPGConfig
from ddpg_jax.types import Batch, EnvSpec

OBS_DIM, ACTION_DIM = 3, 1  # Pendulum's
BATCHES, WIDTHS, DEFAULT = (64, 128, 256, 1024, 4096), (64, 256, 1024), 256
SEEDS = 64
COLUMNS = {  # of the last table: what stands above, and the rate or ratio below it
    "alone 1/s": "ours, alone",
    "scan 1/s": "ours, scan",
    "seeds 1/s": f"ours, {SEEDS} seeds",
    "torch 1/s": "PyTorch eager",
    "compiled 1/s": "PyTorch compiled",
    "graphs 1/s": "PyTorch CUDA graphs",
    "scan/torch": "ours, scan / PyTorch eager",
    "scan/compiled": "ours, scan / PyTorch compiled",
    "scan/graphs": "ours, scan / PyTorch CUDA graphs",
    "of own": "fraction of own product",
    "of best": "fraction of best product",
}


def draw_batches(number: int, rows: tuple[int, ...]) -> Batch:
    """Made-up transitions, `[number, *rows, ...]`."""
    rng, shape = np.random.default_rng(0), (number, *rows)
    columns: dict[str, Any] = {
        "obs": rng.normal(size=(*shape, OBS_DIM)),
        "action": rng.uniform(-1, 1, (*shape, ACTION_DIM)),
        "reward": rng.normal(size=shape),
        "discount": np.full(shape, 0.99),
        "next_obs": rng.normal(size=(*shape, OBS_DIM)),
        "weight": np.ones(shape),
    }
    return Batch(**{name: column.astype(np.float32) for name, column in columns.items()})


def make_agent(config: DDPGConfig) -> Agent:
    """Ours, for Pendulum's spaces."""
    obs = jax.ShapeDtypeStruct((OBS_DIM,), jnp.float32)
    return ddpg(EnvSpec(obs, np.full(ACTION_DIM, -2.0), np.full(ACTION_DIM, 2.0)), config)


def ours_alone(config: DDPGConfig, batch_size: int, length: int) -> Contender:
    """One jitted call from Python for each update."""
    agent, key = make_agent(config), jax.random.key(0)
    update, state = jax.jit(agent.update, donate_argnums=1), agent.init(key)
    stacked = jax.device_put(draw_batches(length, (batch_size,)))
    batches = [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(length)]

    def run() -> None:
        nonlocal state
        for batch in batches:
            state, info = update(key, state, batch)
        jax.block_until_ready((state, info))

    return Contender(run, length)


def ours_scan(config: DDPGConfig, batch_size: int, length: int, seeds: int | None = None) -> Contender:
    """One jitted call for many updates; of many seeds, each with batches of its own, if asked."""
    agent, key = make_agent(config), jax.random.key(0)
    init, update = agent.init, agent.update
    if seeds:
        key, init, update = jax.random.split(key, seeds), jax.vmap(init), jax.vmap(update)

    def step(state: AgentState, batch: Batch) -> tuple[AgentState, UpdateInfo]:
        state, info = update(key, state, batch)
        return state, jax.tree.map(jnp.mean, info)

    scan = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)
    state, batches = init(key), jax.device_put(draw_batches(length, (*key.shape, batch_size)))

    def run() -> None:
        nonlocal state
        state, infos = scan(state, batches)
        jax.block_until_ready((state, infos))

    return Contender(run, length * (seeds or 1))


def in_torch(config: DDPGConfig, batch_size: int, length: int) -> dict[str, Contender]:
    """One call from Python for each update in PyTorch, on batches that are tensors; eager, and as it compiles."""
    from benchmarks.baseline import TorchDDPG, compile_update, equal_terms, find_device

    equal_terms(measure.num_threads())
    agents = [TorchDDPG(OBS_DIM, ACTION_DIM, config, device=find_device()) for _ in range(3)]
    updates = {"PyTorch eager": agents[0].update, "PyTorch compiled": compile_update(agents[1])}
    if find_device() == "cuda":
        updates["PyTorch CUDA graphs"] = compile_update(agents[2], "reduce-overhead")
    found = {name: torch_contender(update, batch_size, length) for name, update in updates.items()}
    return {name: contender for name, contender in found.items() if works(name, contender)}


def torch_contender(update: Any, batch_size: int, length: int) -> Contender:
    """A PyTorch update over many batches."""
    import torch

    from benchmarks.baseline import TorchBatch, find_device, synchronize

    columns = draw_batches(length, (batch_size,))[:-1]  # no weights: PyTorch's own mean squared error
    tensors = [torch.as_tensor(leaf, device=find_device()) for leaf in columns]
    batches = [TorchBatch(*leaves) for leaves in zip(*tensors, strict=True)]

    def run() -> None:
        for batch in batches:
            update(batch)
        synchronize()

    return Contender(run, length)


def works(name: str, contender: Contender) -> bool:
    """Whether it runs at all; compiling needs a C++ compiler, for one thing. If not, a line says why."""
    try:
        contender.run()
    except Exception as error:
        print(f"skipped: {name}: {type(error).__name__}: {str(error).strip().splitlines()[0]}", file=sys.stderr)
        return False
    return True


def updates(config: DDPGConfig, batch_size: int, length: int) -> dict[str, Contender]:
    """Everyone who updates; a rate is updates/s, over all seeds."""
    found = {
        "ours, alone": ours_alone(config, batch_size, length),
        "ours, scan": ours_scan(config, batch_size, length),
    }
    if jax.default_backend() != "cpu":
        found[f"ours, {SEEDS} seeds"] = ours_scan(config, batch_size, length, SEEDS)
    if measure.have("torch", "baseline"):
        found |= in_torch(config, batch_size, length)
    return found


def measure_point(batch_size: int, width: int, args: argparse.Namespace) -> dict[str, Any]:
    """All rates, ratios, fractions and floors at one batch size and one width."""
    config = dataclasses.replace(AGENT, hidden_sizes=(width, width))
    contenders, limits = updates(config, batch_size, args.scan), ceiling.products(batch_size, width)
    rates = measure.take_turns({**contenders, **limits, "copying": ceiling.copying()}, args.rounds, args.seconds)
    theirs = [name for name in contenders if not name.startswith("ours")]
    ratios = {f"{our} / {their}": (our, their) for our in ("ours, alone", "ours, scan") for their in theirs}
    summary = measure.summarize({name: rates[name] for name in contenders}, ratios)
    sizes = (batch_size, OBS_DIM, ACTION_DIM, config.hidden_sizes)
    flops, traffic = ceiling.update_flops(*sizes), ceiling.update_bytes(*sizes)
    best = ceiling.ceilings({name: rates[name] for name in limits})
    summary["ratios"] |= {
        f"fraction of {name}": measure.quartiles(flops * rates["ours, scan"] / rates[winner])
        for name, winner in best.items()
    }
    billions = {name: measure.quartiles(rates[name] / 1e9) for name in (*limits, "copying")}
    return {
        "batch": batch_size,
        "hidden": width,
        **summary,
        "gflops_per_second": {name: billions[name] for name in limits},
        "ceilings": best,
        "floor": ceiling.floor(flops, traffic, billions[best["best product"]][1], billions["copying"][1]),
    }


def show_points(points: list[dict[str, Any]]) -> None:
    """One row for each point: medians of rates and ratios, the ceilings, and the floors of one update."""
    names = [(title, name) for title, name in COLUMNS.items() if any(name in flat(point) for point in points)]
    rows = []
    for point in points:
        values = flat(point)
        cells = [number(values[name]) if name in values else "" for _, name in names]
        gflops = [f"{point['gflops_per_second'][winner][1]:,.0f}" for winner in point["ceilings"].values()]
        floors = [f"{point['floor'][name]:,.1f}" for name in ("flops_us", "bytes_us")]
        rows.append((f"{point['batch']} x {point['hidden']}", *cells, *gflops, *floors))
    titles = ("own GFLOP/s", "best GFLOP/s", "FLOPs us", "bytes us")
    measure.show("batch x hidden (medians)", ("", *(title for title, _ in names), *titles), rows)


def number(value: float) -> str:
    """Three figures, without exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def flat(point: dict[str, Any]) -> dict[str, float]:
    """Medians of a point's rates and ratios."""
    return {name: values[1] for name, values in {**point["per_second"], **point["ratios"]}.items()}


def main() -> None:
    """Measure every point and print the tables."""
    parser = measure.arguments(__doc__, seconds=0.25)
    parser.add_argument("--batch", type=int, nargs="+", help=f"default: {BATCHES} at {DEFAULT} hidden")
    parser.add_argument("--hidden", type=int, nargs="+", help=f"default: {WIDTHS} at batch size {DEFAULT}")
    parser.add_argument("--scan", type=int, default=100, help="updates of one scan (default 100)")
    args = kernels.parse(parser)
    grid = [(batch, width) for batch in args.batch or [DEFAULT] for width in args.hidden or [DEFAULT]]
    if not (args.batch or args.hidden):
        grid = [*((batch, DEFAULT) for batch in BATCHES), *((DEFAULT, width) for width in WIDTHS if width != DEFAULT)]
    points: list[dict[str, Any]] = []
    for batch_size, width in grid:
        points.append(measure_point(batch_size, width, args))
        measure.show_summary(f"batch {batch_size}, hidden {width} x {width}", points[-1])
        measure.write(args, "update", points)
    show_points(points)


if __name__ == "__main__":
    main()

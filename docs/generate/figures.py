"""Tables of what was measured on each machine, from the results files alone."""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.measure import quartiles
from benchmarks.report import cell, table
from benchmarks.start import beside

HEAD = """\
<!-- Made by `python -m docs.generate` from benchmarks/results. -->

# Figures of each machine

A cell is the median over rounds, with the quartiles in parentheses.
Contenders take turns in one process, and ratios are taken within a round.
All have the same networks (two layers of 256 units), the same batch, and the same number of threads.
"""
# Results files of whole machines, and what the pages call them.
MACHINES = {"intel-xeon-2-threads": "Intel Xeon, 2 cores", "amd-epyc-2-threads": "AMD EPYC, 2 cores"}
SIDES = {
    "training": "ddpg_jax on Gymnasium", "compiled": "ddpg_jax on the compiled Pendulum",
    "PyTorch loop": "PyTorch, same algorithm, eager", "SB3": "Stable-Baselines3 DDPG", "SBX": "SBX DDPG (JAX)",
    "CleanRL structure": "the structure of CleanRL's JAX loop", "compiled TD3": "ddpg_jax TD3, compiled Pendulum",
    "Rejax TD3": "Rejax TD3, compiled Pendulum",
}  # fmt: skip
UPDATES = {
    "ours, scan": "ddpg_jax, 100 updates in one call", "ours, alone": "ddpg_jax, one update in a call",
    "PyTorch eager": "PyTorch, eager", "PyTorch compiled": "PyTorch, `torch.compile` of the whole update",
}  # fmt: skip
STARTS = {
    "Gymnasium, cold": "`ddpg-jax train`, Pendulum-v1, first time",
    "Gymnasium, cached": "`ddpg-jax train`, Pendulum-v1, later times",
    "gymnax, cold": "`ddpg-jax train`, gymnax/Pendulum-v1, first time",
    "gymnax, cached": "`ddpg-jax train`, gymnax/Pendulum-v1, later times",
    "SB3": "Stable-Baselines3 DDPG (PyTorch)", "SBX": "SBX DDPG (JAX)",
    "one update, cold": "one compiled update alone, first time",
    "one update, cached": "one compiled update alone, later times",
}  # fmt: skip
CAPACITIES = ("1e4", "1e6")

Sections = Mapping[str, Mapping[str, Any]]
Column = tuple[str, Mapping[str, Any]]


def page(results: pathlib.Path) -> str:
    """The page in Markdown.

    Args:
        results: folder of the results files.
    """
    machines = {name: load(results, stem)["sections"] for stem, name in MACHINES.items()}
    parts = (
        about(machines), training(machines), builds(load(results, "amd-epyc-avx512-builds")), updates(machines),
        collecting(machines), start(machines), replay(machines), options(load(results, "options")), durability(results),
    )  # fmt: skip
    return HEAD + "".join("\n" + "\n".join(part) + "\n" for part in parts)


def load(results: pathlib.Path, stem: str) -> dict[str, Any]:
    """A results file."""
    found: dict[str, Any] = json.loads((results / f"{stem}.json").read_text())
    return found


def about(machines: Mapping[str, Sections]) -> list[str]:
    """What the machines are, and with what they were measured."""
    rows = []
    for name, sections in machines.items():
        part = sections["training"]
        packages = ", ".join(f"{key} {part['versions'][key]}" for key in ("jax", "torch", "gymnasium"))
        rows.append((name, part["cpu"], part["threads"], packages))
    return ["## Machines", "", *table(("machine", "processor", "threads", "versions"), rows)]


def by_side(columns: Sequence[Column], sides: Mapping[str, str], group: str) -> list[tuple[str, ...]]:
    """Rows of a table with a column for each point; sides that no point has are left out."""
    present = [side for side in sides if any(side in point[group] for _, point in columns)]
    return [(sides[side], *(cell(point[group].get(side)) for _, point in columns)) for side in present]


def chosen(
    machines: Mapping[str, Sections], section: str, name: Callable[[Mapping[str, Any]], str], **where: Any
) -> list[Column]:
    """The points of a section that have these values, of all machines, with the heads of their columns."""
    return [
        (f"{machine}, {name(point)}", point)
        for machine, sections in machines.items()
        for point in sections[section]["results"]
        if where.items() <= point.items() and point.get("batch_size", 1)
    ]


def training(machines: Mapping[str, Sections]) -> list[str]:
    """Steps a second with one update a step."""
    lines = ["## Training", "", "Environment steps per second, one environment, one update a step."]
    for section, env in (("training", "Pendulum-v1"), ("training_cheetah", "HalfCheetah-v5")):
        columns = chosen(machines, section, lambda point: f"batch {point['batch_size']}", env=env)
        lines += ["", f"### {env}", "", *table(("", *heads(columns)), by_side(columns, SIDES, "per_second"))]
    return lines


def builds(found: Mapping[str, Any]) -> list[str]:
    """Rates of a later build over those of the tables above."""
    rows = [(point["case"], cell(point["ratios"]["this / other"])) for point in found["results"]]
    text = (
        "The tables above are older than the threads of Python in which Gymnasium's environments are now stepped. "
        f"Rates with these threads over rates before, on Pendulum-v1 ({found['cpu']}, {found['threads']} threads):"
    )
    return ["### A later build", "", text, "", *table(("case", "rate, later / before"), rows)]


def heads(columns: Iterable[Column]) -> list[str]:
    """Heads of a table's columns."""
    return [name for name, _ in columns]


def updates(machines: Mapping[str, Sections]) -> list[str]:
    """Updates a second on batches that are ready."""
    columns = chosen(machines, "update", lambda point: f"batch {point['batch']}", hidden=256)
    what = "ddpg_jax / the fastest float32 product of NumPy, PyTorch and JAX"
    ceiling = (what, *(cell(point["ratios"]["fraction of best product"]) for _, point in columns))
    rows = [*by_side(columns, UPDATES, "per_second"), ceiling]
    return ["## Updates alone", "", "Updates per second, and one ratio.", "", *table(("", *heads(columns)), rows)]


def collecting(machines: Mapping[str, Sections]) -> list[str]:
    """Steps a second without updates."""
    points = [
        (machine, point)
        for machine, sections in machines.items()
        for point in sections["training"]["results"]
        if not point["batch_size"]
    ]
    sides = {
        "environment": "Pendulum-v1 alone", "collecting": "ddpg_jax", "SB3 collecting": "Stable-Baselines3 DDPG",
        "SBX collecting": "SBX DDPG (JAX)",
    }  # fmt: skip
    times = [cell(point["ratios"]["time of collecting / environment"]) for _, point in points]
    rows = [*by_side(points, sides, "per_second"), ("time of a step / Pendulum-v1 alone", *times)]
    return ["## Collecting", "", "Steps per second without updates.", "", *table(("", *heads(points)), rows)]


def start(machines: Mapping[str, Sections]) -> list[str]:
    """Seconds to the first update, beside one update and nothing else."""
    rows = []
    for key, name in STARTS.items():
        cells = []
        for sections in machines.values():
            found = sections["start"]["results"]
            cells += [
                cell(found["seconds"][key]),
                "" if key.startswith("one update") else cell(times_one_update(found, key)),
            ]
        rows.append((name, *cells))
    columns = [f"{machine}, {what}" for machine in machines for what in ("seconds", "x one update")]
    text = "Seconds from a process's start to its first finished update, and how many times one compiled update alone."
    return ["## Start", "", text, "", *table(("", *columns), rows)]


def times_one_update(found: Mapping[str, Any], key: str) -> list[float]:
    """How many times one update alone a start is, within rounds."""
    samples = {name: np.array(values) for name, values in found["samples"].items()}
    return quartiles(samples[key] / beside(key, samples))


def replay(machines: Mapping[str, Sections]) -> list[str]:
    """What the memory costs alone, and in a training step."""
    rows, steps = [], []
    for machine, sections in machines.items():
        found = sections["replay"]["results"]
        for point in found["add and sample"]:
            for size in CAPACITIES:
                rates = (cell(point["per_second"][f"{side} {size}"]) for side in ("ours", "NumPy", "flashbax"))
                rows.append((f"{machine}, {point['rows']}", size, *rates))
        for point in found["add, sample and update"]:
            ratio = cell(point["ratios"]["with an update: time at 1e6 / 1e4"])
            rates = (cell(point["per_second"][size]) for size in CAPACITIES)
            steps.append((f"{machine}, {point['rows']}", *rates, ratio))
    return [
        "## Replay", "", "Add one transition and sample 256, times per second.", "",
        *table(("transitions of", "capacity", "ddpg_jax", "NumPy", "flashbax"), rows), "",
        "The same with an update of 256 rows, which is what a training step does:", "",
        *table(("transitions of", "capacity 1e4", "capacity 1e6", "time at 1e6 / 1e4"), steps),
    ]  # fmt: skip


def options(found: Mapping[str, Any]) -> list[str]:
    """What an option adds to a step's time."""
    results = found["results"]
    rows = [
        ("TD3", cell(results["td3"]["ratios"]["time of TD3 / DDPG"])),
        ("prioritised replay", cell(results["training"]["ratios"]["time with prioritized / without"])),
        ("3-step returns", cell(results["training"]["ratios"]["time with 3-step / without"])),
    ]
    where = f"({found['cpu']}, Pendulum-v1, batch 256)"
    text = f"Time of a training step with the option, over the time without it {where}."
    return ["## Options", "", text, "", *table(("option", "time, with / without"), rows)]


def durability(results: pathlib.Path) -> list[str]:
    """Kills, and what a checkpoint costs."""
    kills = load(results, "durability-kills")["results"]["environments"]
    rows = [
        (name, each["killed"], each["killed_and_equal"], each["stopped"], each["stopped_and_equal"])
        for name, each in kills.items()
    ]
    saving = load(results, "durability-saving")["results"]
    lines = [
        (f"a checkpoint of {saving['array_bytes'] / 1e6:.0f} MB, seconds to write", cell(saving["save_seconds"])),
        ("seconds to check and restore it", cell(saving["check_and_restore_seconds"])),
        ("share of a training that saves every 5 minutes", cell(saving["save_share_of_training"])),
    ]
    text = "Runs that were ended from outside, resumed, and compared bit by bit with undisturbed ones."
    return [
        "## Durability", "", text, "",
        *table(("environment", "killed", "equal", "asked to stop", "equal"), rows), "", *table(("", "figure"), lines),
    ]  # fmt: skip

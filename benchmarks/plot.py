"""Pictures of results: `python -m benchmarks.plot FILE.json FILE.png`.

For files of `benchmarks.learning_parity`; those of everything are drawn with its report.
"""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS = ("bare update", "training", "compiled", "compiled TD3")  # as benchmarks.training names them


def canvas(xlabel: str, ylabel: str, title: str) -> tuple[Figure, Axes]:
    """An empty picture."""
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def draw_parity(results: dict, path: pathlib.Path) -> None:
    """Both sides' interquartile means over seeds, and their 95 % bootstrap intervals."""
    made = results["made"]
    title = f"{made['config']['env']}, the same settings on both sides"
    figure, axes = canvas("environment steps", f"return of {made['episodes']} greedy episodes", title)
    for (side, curve), color in zip(results["curves"].items(), ("tab:blue", "tab:orange"), strict=True):
        label = f"{side}, {curve['seeds']} seeds"
        axes.plot(results["steps"], curve["middle"], color=color, linewidth=2, label=label)
        axes.fill_between(results["steps"], curve["low"], curve["high"], color=color, alpha=0.2, linewidth=0)
    axes.legend(frameon=False, loc="lower right", title="interquartile mean, 95 % interval")
    figure.savefig(path, dpi=150)


def draw_rates(points: list[dict], path: pathlib.Path) -> None:
    """Everyone's environment steps a second on Pendulum with one environment, a panel for each batch size."""
    where = {"env": "Pendulum-v1", "num_envs": 1}
    chosen = [point for point in points if where.items() <= point.items() and point["batch_size"]]
    if not chosen:
        return
    figure, panels = plt.subplots(1, len(chosen), figsize=(10, 3.4), layout="constrained", squeeze=False)
    for axes, point in zip(panels.flat, chosen, strict=True):
        rates = sorted(point["per_second"].items(), key=lambda item: item[1][1])
        low, middle, high = np.array([quartiles for _, quartiles in rates]).T
        colors = ["tab:blue" if name in OURS else "tab:gray" for name, _ in rates]
        axes.barh([name for name, _ in rates], middle, color=colors, xerr=[middle - low, high - middle])
        axes.set_title(f"batch size {point['batch_size']}")
        axes.set_xlabel("updates and environment steps a second")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Read the results and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("picture", type=pathlib.Path)
    args = parser.parse_args()
    draw_parity(json.loads(args.results.read_text())["results"], args.picture)


if __name__ == "__main__":
    main()

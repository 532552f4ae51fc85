"""Learning curve of a results file of `benchmarks.learning`: `python -m benchmarks.plot FILE.json FILE.png`."""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np


def draw(result: dict, path: pathlib.Path) -> None:
    """Each seed's training returns, their mean, and the evaluated return of each last policy."""
    curves = np.array([run["episode_returns"] for run in result["runs"]])
    steps = np.linspace(0, result["runs"][0]["steps"], curves.shape[1] + 1)[1:]
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    axes.plot(steps, curves.T, color="tab:blue", alpha=0.2, linewidth=1)
    axes.plot(steps, curves.mean(axis=0), color="tab:blue", linewidth=2, label=f"mean of {len(curves)} seeds")
    finals = [run["mean_return"] for run in result["runs"]]
    axes.plot(np.full(len(finals), steps[-1]), finals, "k_", label="last policy, 100 evaluation episodes")
    axes.set_xlabel("environment steps")
    axes.set_ylabel("episode return while exploring")
    axes.set_title(f"{result['config']['env']}, every seed drawn")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Read the results and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("picture", type=pathlib.Path)
    args = parser.parse_args()
    draw(json.loads(args.results.read_text()), args.picture)


if __name__ == "__main__":
    main()

"""README's commands that train on Pendulum, in full: `python -m benchmarks.readme`.

Each ends with the evaluation of its last policy, which must reach -160. `tests/test_readme.py` runs every command of
the README, these too, for a few steps.
"""

import argparse
import json
import pathlib
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import kernels, measure

README = pathlib.Path(__file__).parents[1] / "README.md"
# What a policy that has learned Pendulum earns, and the words by which these commands are known.
REACHED, TASKS = -160.0, ("--env gymnax/Pendulum-v1", "--preset td3")


def commands() -> list[list[str]]:
    """The words of each `ddpg-jax` command in README's blocks, without `ddpg-jax` and remarks."""
    blocks = re.findall(r"^```\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("ddpg-jax ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def train(command: list[str], path: pathlib.Path) -> dict[str, float | int | str]:
    """Run one command to its end; what its last policy earned."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ddpg_jax.runs.console.cli", *command, "--run-dir", str(path)], check=True)
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["kind"] == "evaluation"][-1]
    return {
        "command": shlex.join(["ddpg-jax", *command]),
        "steps": last["step"],
        "episodes": len(last["returns"]),
        "mean_return": round(statistics.fmean(last["returns"]), 2),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def main() -> int:
    """Train, show what was earned, and say by the exit code whether all of it is enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = kernels.parse(parser)
    chosen = [words for words in commands() if words[0] == "train" and any(task in " ".join(words) for task in TASKS)]
    with tempfile.TemporaryDirectory() as place:
        found = [train(words, pathlib.Path(place) / str(index)) for index, words in enumerate(chosen)]
    measure.write(args, "readme", found)
    rows = [(each["command"], each["steps"], each["mean_return"], each["seconds"]) for each in found]
    measure.show(f"README's commands, which must reach {REACHED:g}", ("command", "steps", "return", "seconds"), rows)
    return int(len(found) != len(TASKS) or any(float(each["mean_return"]) < REACHED for each in found))


if __name__ == "__main__":
    sys.exit(main())

"""README's commands that train on Pendulum, in full: `python -m benchmarks.readme`.

Each ends with the evaluation of its last policy, which must reach -160. The line that says so is kept, since README
shows that of the first command. `tests/test_readme.py` runs every command of the README, these too, for a few steps.
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
# What a policy that has learned Pendulum earns, and the words after `train` by which these commands are known; the
# first command has none.
REACHED, TASKS = -160.0, ("", "--env gymnax/Pendulum-v1", "--preset td3")


def commands() -> list[list[str]]:
    """The words of each `ddpg-jax` command in README's blocks, without `ddpg-jax` and remarks."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("ddpg-jax ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def full_trainings() -> list[list[str]]:
    """The words of the commands that are run to their end, one for each of `TASKS`."""
    trainings = [words for words in commands() if words[0] == "train"]
    return [words for words in trainings if any(begins(words[1:], shlex.split(task)) for task in TASKS)]


def begins(words: list[str], task: list[str]) -> bool:
    """Whether the words of a command begin with those of a task; no words are a task, too."""
    return words[: len(task)] == task if task else not words


def train(command: list[str], path: pathlib.Path) -> dict[str, float | int | str]:
    """Run one command to its end; what its last policy earned."""
    begin = time.perf_counter()
    words = [sys.executable, "-m", "ddpg_jax.runs.console.cli", *command, "--run-dir", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["kind"] == "evaluation"][-1]
    return {
        "command": shlex.join(["ddpg-jax", *command]),
        "steps": last["step"],
        "episodes": len(last["returns"]),
        "mean_return": round(statistics.fmean(last["returns"]), 2),
        "seconds": round(time.perf_counter() - begin, 1),
        "printed": next(line for line in reversed(lines) if "return" in line),
    }


def main() -> int:
    """Train, show what was earned, and say by the exit code whether all of it is enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = kernels.parse(parser)
    with tempfile.TemporaryDirectory() as place:
        found = [train(words, pathlib.Path(place) / str(index)) for index, words in enumerate(full_trainings())]
    measure.write(args, "readme", found)
    rows = [(each["command"], each["steps"], each["mean_return"], each["seconds"]) for each in found]
    measure.show(f"README's commands, which must reach {REACHED:g}", ("command", "steps", "return", "seconds"), rows)
    return int(len(found) != len(TASKS) or any(float(each["mean_return"]) < REACHED for each in found))


if __name__ == "__main__":
    sys.exit(main())

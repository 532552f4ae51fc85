"""Run every script, gather their figures and write the report: `python -m benchmarks`.

Each script is a process of its own that writes its JSON below `--parts`; all of them together become
benchmarks/results/MACHINE.json, and `benchmarks.report` makes MACHINE.md of it. A script that fails is noted
with the last line that it printed, and the others go on. Sections that are not run now stay as they were.
"""

import argparse
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

from benchmarks import kernels, report

TAKES_TURNS = ["--rounds", "3", "--seconds", "0.15"]
# With the options of `--quick`.
SCRIPTS = {
    "update": [*TAKES_TURNS, "--batch", "64", "256"],
    "training": [*TAKES_TURNS, "--env", "Pendulum-v1", "--num-envs", "1"],
    "replay": TAKES_TURNS,
    "growing": TAKES_TURNS,
    "start": ["--rounds", "2"],
    "solve": ["--methods", "ours", "--seeds", "1"],
    "learning_parity": ["--seeds", "2", "--processes", "2"],
}
# These go on from what their file holds.
RESUMABLE = ("solve", "learning_parity")
RESULTS, PARTS = pathlib.Path("benchmarks/results"), pathlib.Path("runs/benchmarks")


def run(name: str, part: pathlib.Path, options: list[str]) -> str | None:
    """Run one script, passing on what it prints; None, or the last line of a failure."""
    if importlib.util.find_spec(f"benchmarks.{name}") is None:
        return f"benchmarks/{name}.py is missing"
    if name not in RESUMABLE:
        part.unlink(missing_ok=True)
    command, last = [sys.executable, "-u", "-m", f"benchmarks.{name}", "--out", str(part), *options], "no output"
    print("$", " ".join(command), flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return f"exit code {process.returncode}: {last}" if process.returncode else None


def settle_kernels(options: list[str]) -> None:
    """End here, and not once in every script, where this package's kernels are missing; a GPU stays untouched."""
    code = subprocess.run([sys.executable, "-m", "benchmarks.kernels", *options]).returncode
    if code:
        sys.exit(code)


def gather(parts: pathlib.Path, failures: dict[str, str]) -> dict[str, Any]:
    """What the scripts wrote, and how those that failed did.

    A file of any other name is a section too: `training_cheetah.json`, of a run with options of its own.
    """
    sections: dict[str, Any] = {}
    for part in sorted(parts.glob("*.json")):
        sections[part.stem] = json.loads(part.read_text())
    for name, failure in failures.items():
        sections.setdefault(name, {})["failed"] = failure
    return sections


def machine_name(sections: dict[str, Any]) -> str:
    """A short name of the processor or accelerator and its threads: intel-xeon-2-threads."""
    found: dict[str, Any] = next((part for part in sections.values() if "cpu" in part), {})
    if not found:
        return "unknown"
    words = found["cpu"] if found["backend"] == "cpu" else found["device"]
    words = re.sub(r"\((R|TM)\)|@.*|\b(CPU|Processor|[\d.]+GHz)\b", " ", words, flags=re.IGNORECASE)
    slug = "-".join(re.findall(r"[a-z0-9]+", words.lower()))
    return f"{slug}-{found['threads']}-threads" if found["backend"] == "cpu" else slug


def main() -> None:
    """Run, gather, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="*", choices=SCRIPTS, default=list(SCRIPTS), help="run these; none of them: gather only"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, few seeds: to see that all works")
    parser.add_argument("--name", help="of the machine (default: its processor or accelerator)")
    parser.add_argument("--parts", type=pathlib.Path, default=PARTS, help=f"directory of each script's JSON ({PARTS})")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help=f"where the report goes ({RESULTS})")
    kernels.add_option(parser)
    args = parser.parse_args()
    chosen = ["--kernels", args.kernels] if args.kernels != "auto" else []
    if args.only:
        settle_kernels(chosen)
    failures = {}
    for name in args.only:
        failure = run(name, args.parts / f"{name}.json", [*(SCRIPTS[name] if args.quick else []), *chosen])
        if failure:
            failures[name] = failure
    sections = gather(args.parts, failures)
    # Figures of XLA's kernels that were asked for do not replace those of ours.
    path = args.results / f"{args.name or '-'.join([machine_name(sections), *chosen[1:]])}.json"
    earlier = json.loads(path.read_text())["sections"] if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"sections": earlier | sections}, indent=1) + "\n")
    print(f"written: {path}, {report.build(path)}")


if __name__ == "__main__":
    main()

"""The report of a machine, from its figures alone: `python -m benchmarks.report benchmarks/results/MACHINE.json`.

Writes MACHINE.md and its pictures beside the JSON: the bars of the benchmark and whether they are met, then
every section's tables. A cell is a median, with the quartiles in parentheses.
"""

import argparse
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.bars import BARS, Finding, hold, label
from benchmarks.measure import have

TITLES = {
    "update": "Updates a second",
    "training": "Environment steps a second",
    "replay": "The memory",
    "growing": "What growing costs",
    "start": "Seconds from a process's start",
    "solve": "Time to solve",
    "learning_parity": "Learning beside PyTorch",
}
RATES, PARITY, GROWING = "training", "learning_parity", "growing"  # sections that have a picture
LEFT_OUT = {"samples", "runs", "made", "floors", "exponents", "steps", "work_of_one_call"}  # they are in the JSON
COLUMNS = 4  # points of one table


def build(path: pathlib.Path) -> pathlib.Path:
    """Write the report of a results file; returns where."""
    data = json.loads(path.read_text())
    sections = data["sections"]
    pictures = draw(sections, path)
    lines = [f"# Benchmarks on {path.stem}", "", f"Made by `python -m benchmarks` from `{path.name}`."]
    lines += ["Ratios hold within a round of one run; a cell is the median, with its quartiles.", "", *bars(sections)]
    for name in [*TITLES, *(name for name in sections if name not in TITLES)]:
        lines += ["", f"## {TITLES.get(name, name)}", "", *section(name, sections.get(name), pictures.get(name))]
    report = path.with_suffix(".md")
    report.write_text("\n".join(lines) + "\n")
    return report


def bars(sections: Mapping[str, Any]) -> list[str]:
    """A table of all bars."""
    findings = [finding for bar in BARS for finding in hold(bar, sections)]
    rows = [(f"{finding.bar.section}: {finding.label}".rstrip(": "), *held(finding)) for finding in findings]
    verdicts = [row[-1].strip("*") for row in rows]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("met", "short", "not measured"))
    return ["## Bars", "", f"{counts}.", "", *table(("", "figure", "bar", "measured", ""), rows)]


def held(finding: Finding) -> tuple[str, str, str, str]:
    """The figure's name, what it must be, what it is, and whether that will do."""
    bar = finding.bar
    limits = [
        f">= {bar.least:,g}" if bar.least is not None else "",
        f"<= {bar.most:,g}" if bar.most is not None else "",
    ]
    verdict = "not measured" if finding.figure is None else "met" if finding.met else "**short**"
    return bar.path[-1], ", ".join(filter(None, limits)), cell(finding.figure), verdict


def section(name: str, found: Mapping[str, Any] | None, picture: str | None) -> list[str]:
    """One script's command, machine, picture and tables, or what became of it."""
    if found is None:
        return ["Not run."]
    lines = [f"**Failed**: `{found['failed']}`", ""] if "failed" in found else []
    if "results" in found:
        lines += [f"`{found['command']}` on {found['cpu']}, {found['threads']} threads, backend {found['backend']}"]
        lines[-1] += (
            f" ({found['device']}), {whose_kernels(found)}Python {found['python']}, {versions(found['versions'])}."
        )
        lines += ["", *([f"![{TITLES.get(name, name)}]({picture})", ""] if picture else [])]
        lines += render(found["results"])
    return lines


def whose_kernels(found: Mapping[str, Any]) -> str:
    """The kernels that ran, which older files do not say."""
    return f"kernels {found['kernels']}, " if "kernels" in found else ""


def versions(found: Mapping[str, str]) -> str:
    """Packages with their versions."""
    return ", ".join(f"{name} {number}" for name, number in found.items())


def render(results: Any, title: str = "") -> Iterator[str]:
    """Tables of whatever a script has written, by its shape alone; lists of numbers stay in the JSON."""
    points = results if isinstance(results, list) else [results]
    if not points or not all(isinstance(point, Mapping) for point in points):
        return
    if title:
        yield from (f"### {title}", "")
    if isinstance(results, list) and all(map(is_plain, points)):
        columns = list(dict.fromkeys(key for point in points for key in point))
        yield from (*table(columns, [[cell(point.get(column)) for column in columns] for point in points]), "")
    elif all("x" in point for point in points):
        for curve in points:
            yield from render_curve(curve)
    elif any(groups(point) for point in points):
        for begin in range(0, len(points), COLUMNS):
            yield from render_groups(points[begin : begin + COLUMNS])
    else:
        yield from render_parts(results)


def is_plain(point: Mapping) -> bool:
    """Whether a dict is a row of a table."""
    return not any(isinstance(value, (Mapping, list)) for value in point.values())


def groups(point: Mapping) -> dict[str, Mapping]:
    """Parts of a point whose every value is a figure."""
    parts = {name: part for name, part in point.items() if isinstance(part, Mapping) and name not in LEFT_OUT}
    return {name: part for name, part in parts.items() if all(map(is_figure, part.values()))}


def is_figure(value: Any) -> bool:
    """Whether a value is a plain one or [lower quartile, median, upper quartile]."""
    return not isinstance(value, (Mapping, list)) or is_quartiles(value)


def is_quartiles(value: Any) -> bool:
    """Whether a value is three numbers."""
    return isinstance(value, list) and len(value) == 3 and all(isinstance(number, (int, float)) for number in value)


def render_groups(points: Sequence[Mapping]) -> Iterator[str]:
    """Points as columns, figures as rows."""
    names = dict.fromkeys((group, name) for point in points for group, part in groups(point).items() for name in part)
    rows = [
        (
            name if group == "ratios" else f"{name} ({group.replace('_', ' ')})",
            *(cell(point.get(group, {}).get(name)) for point in points),
        )
        for group, name in names
    ]
    yield from (*table(("", *(label(point) or "measured" for point in points)), rows), "")


def render_curve(curve: Mapping) -> Iterator[str]:
    """A curve's points, where it bends and why."""
    yield from (f"### {curve['curve']}", "", f"{curve['text']}.", "")
    rows = zip(map(cell, curve["x"]), map(cell, curve["microseconds"]), curve["causes"], strict=True)
    yield from (*table((curve["curve"], "microseconds", "cause"), rows), "")


def render_parts(results: Any) -> Iterator[str]:
    """The plain values of a dict in one line, then its parts."""
    plain = {name: value for name, value in results.items() if not isinstance(value, (Mapping, list))}
    if plain:
        yield from (", ".join(f"{name} {cell(value)}" for name, value in plain.items()), "")
    for name, part in results.items():
        if name not in plain and name not in LEFT_OUT:
            yield from render(part, name)


def draw(sections: Mapping[str, Any], path: pathlib.Path) -> dict[str, str]:
    """Draw what there is to draw beside the results; names of the files, by section."""
    present = {name for name in (RATES, PARITY, GROWING) if sections.get(name, {}).get("results")}
    if not present or not have("matplotlib", "plot"):
        return {}
    # Needed for pictures only.
    from benchmarks import growing, plot

    functions: dict[str, Callable[[Any, pathlib.Path], None]] = {
        RATES: plot.draw_rates,
        PARITY: plot.draw_parity,
        GROWING: growing.draw,
    }
    pictures = {name: path.with_name(f"{path.stem}-{name}.png") for name in functions if name in present}
    for name, picture in pictures.items():
        functions[name](sections[name]["results"], picture)
    return {name: picture.name for name, picture in pictures.items() if picture.exists()}


def table(columns: Sequence[str], rows: Any) -> list[str]:
    """A table in Markdown, numbers to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def cell(value: Any) -> str:
    """A figure as one reads it."""
    if value is None:
        return ""
    if is_quartiles(value):
        return f"{cell(value[1])} ({cell(value[0])} to {cell(value[2])})"
    if isinstance(value, float):
        return f"{value:,.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 3}f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def main() -> None:
    """Build the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    print(f"written: {build(parser.parse_args().results)}")


if __name__ == "__main__":
    main()

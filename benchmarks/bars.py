"""What the benchmark must show: each bar, where its figure lies, and whether it is met."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Bar(NamedTuple):
    """A bar.

    Attributes:
        section: script whose results hold the figure.
        where: values that a dict of the results must have; every one that has them and the figure is held to the bar.
        path: keys of the figure in that dict.
        least: the figure must not be below it, or None.
        most: the figure must not be above it, or None.
    """

    section: str
    where: Mapping[str, Any]
    path: tuple[str, ...]
    least: float | None = None
    most: float | None = None


class Finding(NamedTuple):
    """A bar held against a figure.

    Attributes:
        bar: the bar.
        label: what tells this figure from others of the bar.
        figure: median or [lower quartile, median, upper quartile]; None if it was not measured.
    """

    bar: Bar
    label: str
    figure: float | list[float] | None

    @property
    def met(self) -> bool:
        """Whether the median is on the right side; what was not measured is not met."""
        if self.figure is None:
            return False
        value = self.figure[1] if isinstance(self.figure, list) else self.figure
        return (self.bar.least is None or value >= self.bar.least) and (self.bar.most is None or value <= self.bar.most)


def update_bars(batch: int, fraction: float, torch: float) -> list[Bar]:
    """Those of the update at 256 x 256."""
    where = {"batch": batch, "hidden": 256}
    return [
        Bar("update", where, ("ratios", "fraction of best product"), least=fraction),
        Bar("update", where, ("ratios", "ours, scan / PyTorch eager"), least=torch),
        Bar("update", where, ("ratios", "ours, scan / PyTorch compiled"), least=torch),
    ]


def training_bars(batch_size: int, bare: float) -> list[Bar]:
    """Those of training in one environment."""
    where = {"num_envs": 1, "batch_size": batch_size}
    bars = {"bare update": bare, "SB3": 3.0, "SBX": 1.7, "CleanRL structure": 1.7}
    found = [Bar("training", where, ("ratios", f"training / {name}"), least=least) for name, least in bars.items()]
    return [*found, Bar("training", where, ("ratios", "compiled / bare update"), least=0.97)]


COLLECTING = {"env": "Pendulum-v1", "num_envs": 1, "batch_size": 0}
BARS = [
    *update_bars(256, fraction=0.85, torch=2.2),
    *update_bars(64, fraction=0.60, torch=3.0),
    *training_bars(256, bare=0.92),
    *training_bars(64, bare=0.85),
    Bar("training", COLLECTING, ("ratios", "time of collecting / environment"), most=2.2),
    Bar("training", COLLECTING, ("per_second", "collecting"), least=30_000),
    # A training step is what a memory slows down; adding and sampling alone stand beside NumPy's and flashbax's.
    Bar("replay", {"batch_size": 256}, ("ratios", "with an update: time at 1e6 / 1e4"), most=1.05),
    *(
        Bar("replay", {"capacity": capacity}, ("resident / predicted",), least=0.95, most=1.05)
        for capacity in (10**6, 10**7)
    ),
    Bar("start", {}, ("ratios", "Gymnasium, cold / one update"), most=2.4),
    Bar("start", {}, ("ratios", "Gymnasium, cached / one update"), most=1.9),
    Bar("learning_parity", {}, ("overlap",), least=1.0),
]


def walk(results: Any) -> Iterator[Mapping]:
    """Every dict in the results, from the outside in."""
    if isinstance(results, Mapping):
        yield results
    if isinstance(results, (Mapping, list)):
        for part in results.values() if isinstance(results, Mapping) else results:
            yield from walk(part)


def find(point: Mapping, path: tuple[str, ...]) -> Any:
    """The figure at the end of a path, or None."""
    found: Any = point
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def hold(bar: Bar, sections: Mapping[str, Any]) -> list[Finding]:
    """A bar held against all figures that it is about."""
    points = walk(sections.get(bar.section, {}).get("results"))
    matching = [point for point in points if all(point.get(key) == value for key, value in bar.where.items())]
    found = [(point, find(point, bar.path)) for point in matching]
    findings = [Finding(bar, label(point, bar.where), figure) for point, figure in found if figure is not None]
    return findings or [Finding(bar, label(bar.where, bar.where), None)]


def label(point: Mapping, keys: Iterable[str] | None = None) -> str:
    """What was measured, in words: texts of a dict, and its whole numbers under these keys (under all if None)."""
    numbers = {key for key, value in point.items() if type(value) is int and (keys is None or key in keys)}
    return ", ".join(
        value if isinstance(value, str) else f"{key} {value:,}".replace("_", " ")
        for key, value in point.items()
        if isinstance(value, str) or key in numbers
    )

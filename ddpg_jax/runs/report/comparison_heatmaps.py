"""The policies of several settings and their Q, as heat maps one above the other: one run of each setting."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ddpg_jax.runs.report.groups import Group
from ddpg_jax.runs.report.heatmaps import STATES_AXIS, Map, Probes, actions, map_trace, q_values, read_probes
from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.traces import Figure, layout, wrapped

# Pixels of a map, of a line of its title, and of what is below the last one.
MAP, LINE, BELOW = 120, 19, 92
# A page has no room for more.
MOST_MAPS = 8


def policies(groups: Sequence[Group], columns: int) -> Figure | None:
    """The action in each state, or its norm where actions have several dimensions."""
    return stacked_maps(groups, columns, actions)


def q_maps(groups: Sequence[Group], columns: int) -> Figure | None:
    """Q of the policy's action in each state."""
    return stacked_maps(groups, columns, q_values)


class Row(NamedTuple):
    """One map of a figure.

    Attributes:
        title: which run it is of.
        probes: of that run.
        drawn: what is drawn of them.
    """

    title: str
    probes: Probes
    drawn: Map


def stacked_maps(groups: Sequence[Group], columns: int, read: Callable[[Probes], Map]) -> Figure | None:
    """A map for each group, the first one on top, with the same colours."""
    runs = [(group.setting, median_run(group)) for group in groups]
    found = [
        (wrapped(f"{name}, seed {record.run.config.seed}"), probes)
        for name, record in runs
        if (probes := read_probes(record))
    ]
    rows = [Row(title, bare(probes), read(probes)) for title, probes in found[:MOST_MAPS]]
    if not rows:
        return None
    places = zip(rows, axes(rows), strict=True)
    data = [map_trace(row.probes, row.drawn, columns) | {"yaxis": axis} for row, axis in places]
    return {"data": data, "layout": maps_layout(rows, len(groups))}


def bare(probes: Probes) -> Probes:
    """The same with states that are called by their numbers alone: those of two runs are not the same."""
    return probes._replace(label=[label.partition(":")[0] for label in probes.label])


def axes(rows: Sequence[Row]) -> list[str]:
    """What Plotly calls their vertical axes."""
    return ["y", *(f"y{number}" for number in range(2, len(rows) + 1))]


def maps_layout(rows: Sequence[Row], num_groups: int) -> dict:
    """The layout of maps that share their steps and colours, each below its title."""
    heights = np.array([[LINE * (1 + row.title.count("<br>")), MAP] for row in rows])
    ends = 1 - np.cumsum(heights.ravel()).reshape(-1, 2) / heights.sum()
    shape = layout(note=note(rows[0].drawn.title, num_groups), hovermode="closest", height=int(heights.sum()) + BELOW)
    for axis, (top, bottom) in zip(axes(rows), ends.tolist(), strict=True):
        shape[axis.replace("y", "yaxis")] = STATES_AXIS | {"domain": [max(0.0, bottom), top]}
    shape["annotations"] = [label(row, top) for row, (top, _) in zip(rows, ends.tolist(), strict=True)]
    shape["xaxis"] |= {"showgrid": False, "anchor": axes(rows)[-1]}
    shape["margin"] |= {"l": 14, "t": 0, "b": BELOW}
    bar = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "thickness": 12, "outlinewidth": 0}
    drawn = rows[0].drawn
    shape["coloraxis"] = {"colorbar": bar, **drawn.limits}
    shape["meta"]["scale"] = drawn.scale
    return shape


def label(row: Row, top: float) -> dict:
    """The title of a map, whose upper edge is there."""
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": top, "xanchor": "left", "yanchor": "bottom"}
    return {"text": row.title, "align": "left", "showarrow": False} | place


def median_run(group: Group) -> Record:
    """The run whose last return is in the middle of its group's."""
    if not len(group.steps):
        return group.records[0]
    order = np.argsort(group.scores[:, -1], kind="stable")
    return group.records[int(order[len(order) // 2])]


def note(title: str, num_groups: int) -> str:
    """What the maps show."""
    shown = f", for the first {MOST_MAPS} settings" if num_groups > MOST_MAPS else ""
    return f"Colour: {title}. Each map is of the seed in the middle{shown}: its states, sorted by their last Q."

"""The policy and its Q on states that stay the same, as heat maps over the steps."""

from typing import NamedTuple

import numpy as np

from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.series import column, most_extreme
from ddpg_jax.runs.report.traces import Figure, Trace, layout, positions, rounded

# Columns that are drawn; between more, the most extreme value of each stretch is.
MOST_COLUMNS = 250
# Of a state, in its label.
COMPONENTS = 6
STATES_AXIS = {"type": "category", "showticklabels": False, "ticks": "", "showgrid": False}


class Probes(NamedTuple):
    """Probes of the policy, states in ascending order of their last Q.

    Attributes:
        step: `[T]`.
        action: in [-1, 1], `[T, P, A]`.
        q: `[T, P]`.
        label: what each state is, `[P]`.
    """

    step: np.ndarray
    action: np.ndarray
    q: np.ndarray
    label: list[str]


def read_probes(record: Record) -> Probes | None:
    """The rows of probes that have the shape of the last one, None if there is none."""
    rows = [(row, step) for row, step in zip(record.rows["probe"], column(record.rows["probe"], "step"), strict=True)]
    read = [(step, array(row.get("action")), array(row.get("q"))) for row, step in rows if np.isfinite(step)]
    whole = [each for each in read if each[1].ndim == 2 and each[1].size and each[2].shape == each[1].shape[:1]]
    same = [each for each in whole if each[1].shape == whole[-1][1].shape]
    if not same:
        return None
    step, action, q = (np.array(column) for column in zip(*same, strict=True))
    order = np.argsort(q[-1], kind="stable")
    names = labels(record.probe_states, len(order))
    return Probes(step, action[:, order], q[:, order], [names[state] for state in order])


def array(values: object) -> np.ndarray:
    """Nested lists of numbers as an array, an empty one if they are not that."""
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.empty(0)


def labels(states: np.ndarray | None, count: int) -> list[str]:
    """What to call each state: its number, and its first components where they are kept."""
    if states is None or len(states) != count:
        return [f"probe state {index}" for index in range(count)]
    flat = states.reshape(count, -1)
    more = ", ..." if flat.shape[1] > COMPONENTS else ""
    parts = [", ".join(f"{value:.3g}" for value in row[:COMPONENTS]) for row in flat]
    return [f"probe state {index}: ({part}{more})" for index, part in enumerate(parts)]


def policy(record: Record) -> Figure | None:
    """The action in each state, or its norm where actions have several dimensions."""
    probes = read_probes(record)
    return heatmap(probes, actions(probes)) if probes else None


def q_map(record: Record) -> Figure | None:
    """Q of the policy's action in each state."""
    probes = read_probes(record)
    return heatmap(probes, q_values(probes)) if probes else None


class Map(NamedTuple):
    """What is drawn of probes.

    Attributes:
        values: `[T, P]`.
        centre: what extremes are far from, where columns are put together.
        title: what the values are.
        scale: "diverging" or "sequential"; the page has the colours.
        limits: of the colours.
    """

    values: np.ndarray
    centre: float
    title: str
    scale: str
    limits: dict[str, float]


def actions(probes: Probes) -> Map:
    """The actions, or their norms where they have several dimensions."""
    dimensions = probes.action.shape[2]
    if dimensions == 1:
        return Map(probes.action[:, :, 0], 0.0, "action", "diverging", {"cmin": -1, "cmid": 0, "cmax": 1})
    limits = {"cmin": 0, "cmax": float(np.sqrt(dimensions))}
    return Map(np.linalg.norm(probes.action, axis=2), 0.0, f"|action| of {dimensions} dimensions", "sequential", limits)


def q_values(probes: Probes) -> Map:
    """Their Q."""
    return Map(probes.q, float(np.nanmedian(probes.q)), "Q", "sequential", {})


def heatmap(probes: Probes, drawn: Map) -> Figure:
    """States upwards by their last Q, steps to the right."""
    note = "States are sorted by their last Q, the best one on top."
    if len(drawn.values) > MOST_COLUMNS:
        note += (
            f" {len(drawn.values):,} looks are drawn as {MOST_COLUMNS} columns: of each stretch, every state shows its "
            f"value farthest from {'zero' if drawn.centre == 0 else 'the median'}."
        )
    shape = layout(y_title="probe states", note=note, hovermode="closest")
    shape["yaxis"] |= STATES_AXIS
    shape["xaxis"] |= {"showgrid": False}
    shape["margin"] |= {"l": 34}
    bar = {"title": {"text": drawn.title, "side": "right"}, "thickness": 12, "outlinewidth": 0}
    shape["coloraxis"] = {"colorbar": bar, **drawn.limits}
    shape["meta"]["scale"] = drawn.scale
    return {"data": [map_trace(probes, drawn, MOST_COLUMNS)], "layout": shape}


def map_trace(probes: Probes, drawn: Map, most: int) -> Trace:
    """The heat map of values, in at most so many columns."""
    values, last = most_extreme(drawn.values, drawn.centre, most)
    return {
        "type": "heatmap",
        "x": positions(probes.step[last]),
        "y": probes.label,
        "z": [rounded(row, digits=4) for row in values.T],
        "coloraxis": "coloraxis",
        "hovertemplate": f"{drawn.title} %{{z:,.4~g}}<br>%{{y}}<br>step %{{x:,d}}<extra></extra>",
    }

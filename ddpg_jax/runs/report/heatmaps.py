"""The policy and its Q on states that stay the same, as heat maps over the steps."""

from typing import NamedTuple

import numpy as np

from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.series import column, most_extreme
from ddpg_jax.runs.report.traces import Figure, layout, positions, rounded

# Columns that are drawn; between more, the most extreme value of each stretch is.
MOST_COLUMNS = 250
# Of a state, in its label.
COMPONENTS = 6


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
    if probes is None:
        return None
    dimensions = probes.action.shape[2]
    if dimensions == 1:
        return heatmap(probes, probes.action[:, :, 0], 0.0, "action", "diverging", {"cmin": -1, "cmid": 0, "cmax": 1})
    title, largest = f"|action| of {dimensions} dimensions", float(np.sqrt(dimensions))
    return heatmap(
        probes, np.linalg.norm(probes.action, axis=2), 0.0, title, "sequential", {"cmin": 0, "cmax": largest}
    )


def q_map(record: Record) -> Figure | None:
    """Q of the policy's action in each state."""
    probes = read_probes(record)
    return probes and heatmap(probes, probes.q, float(np.nanmedian(probes.q)), "Q", "sequential", {})


def heatmap(probes: Probes, values: np.ndarray, centre: float, title: str, scale: str, limits: dict) -> Figure:
    """States upwards by their last Q, steps to the right.

    Args:
        probes: whose values they are.
        values: `[T, P]`.
        centre: what extremes are far from, where columns are put together.
        title: what the values are.
        scale: "diverging" or "sequential"; the page has the colours.
        limits: of the colours.
    """
    drawn, last = most_extreme(values, centre, MOST_COLUMNS)
    trace = {
        "type": "heatmap",
        "x": positions(probes.step[last]),
        "y": probes.label,
        "z": [rounded(row, digits=4) for row in drawn.T],
        "coloraxis": "coloraxis",
        "hovertemplate": f"{title} %{{z:,.4~g}}<br>%{{y}}<br>step %{{x:,d}}<extra></extra>",
    }
    note = "States are sorted by their last Q, the best one on top."
    if len(values) > len(drawn):
        note += (
            f" {len(values):,} looks are drawn as {len(drawn)} columns: of each stretch, every state shows its value "
            f"farthest from {'zero' if centre == 0 else 'the median'}."
        )
    shape = layout(y_title="probe states", note=note, hovermode="closest")
    shape["yaxis"] |= {"type": "category", "showticklabels": False, "ticks": "", "showgrid": False}
    shape["xaxis"] |= {"showgrid": False}
    shape["margin"] |= {"l": 34}
    bar = {"title": {"text": title, "side": "right"}, "thickness": 12, "outlinewidth": 0}
    shape["coloraxis"] = {"colorbar": bar, **limits}
    shape["meta"]["scale"] = scale
    return {"data": [trace], "layout": shape}

"""The curves of one run: each function builds one figure, or None while there is nothing to draw."""

import numpy as np

from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.series import (
    WINDOW,
    Series,
    column,
    curve,
    drop_unknown,
    moving_average,
    spread_curve,
    stretches,
)
from ddpg_jax.runs.report.traces import (
    BLUE,
    EDGE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    TEAL,
    VIOLET,
    Figure,
    Trace,
    condensed_note,
    draw,
    layout,
    marks,
    scale,
    shade,
)
from ddpg_jax.runs.storage.metrics import Row

# Points of the curve of steps per second; between any two, it is the mean rate.
MOST_RATES = 300
# Points of a curve that are marked.
MOST_POINTS = 200
# Marks of one kind in a figure.
MOST_MARKS = 100


def learning(record: Record) -> Figure | None:
    """Returns of episodes, their moving average, and evaluations with their spread."""
    episodes, evaluations = curve(record.rows["episode"], "return"), spread_curve(record.rows["evaluation"], "returns")
    if not len(episodes.x) and not len(evaluations.x):
        return None
    average = moving_average(episodes)
    faint = {"mode": points(episodes, "markers"), "marker": {"color": shade(GREY, 0.75), "size": 5}}
    data = [
        *draw(episodes, "episodes, with noise", GREY, "", **faint),
        *draw(average, f"mean of {WINDOW} episodes", ORANGE, ""),
        *draw(evaluations, "evaluations: mean, least to greatest", BLUE, "", mode=points(evaluations, "lines+markers")),
        *events(record),
    ]
    note = condensed_note(episodes, evaluations)
    return {"data": data, "layout": layout(y_title="return (sum of rewards)", note=note, yaxis9=EDGE, height=440)}


def points(whole: Series, mode: str) -> str:
    """How a curve is drawn: in this mode, or as a line alone where its points are too many for marks."""
    return mode if len(whole.x) <= MOST_POINTS else "lines"


def events(record: Record) -> list[Trace]:
    """Marks where episodes were cut and where updates were skipped."""
    return [
        *marks(*cuts(record.rows["restart"]), "episodes cut", PINK, "triangle-up"),
        *marks(*skips(record.rows["update"]), "updates skipped", VIOLET, "x"),
    ]


def cuts(rows: list[Row]) -> tuple[np.ndarray, list[str]]:
    """Steps at which episodes were cut, and why; of very many, some stand for those after them."""
    rows = [row for row in rows if np.isfinite(column([row], "step"))]
    begin = stretches(len(rows), MOST_MARKS)
    more = np.diff(begin, append=len(rows)) - 1
    reasons = [f"an episode was cut: {rows[index].get('reason')}" for index in begin]
    texts = [f"{reason} (and {count:,} more)" if count else reason for reason, count in zip(reasons, more, strict=True)]
    return column(rows, "step")[begin], texts


def skips(rows: list[Row]) -> tuple[np.ndarray, list[str]]:
    """Steps until which updates were skipped, and how many since the mark before."""
    total = curve(rows, "skipped")
    new = np.flatnonzero(np.diff(total.y, prepend=0) > 0)
    last = new[np.append(stretches(len(new), MOST_MARKS)[1:], len(new)) - 1] if len(new) else new
    counts = np.diff(total.y[last], prepend=0)
    return total.x[last], [f"{count:,.0f} updates skipped: a gradient was not finite" for count in counts]


def q_target(record: Record) -> Figure | None:
    """Mean Q of the batches against their mean TD target."""
    # Q is drawn wide, so that it can be seen below the target.
    names = {"q": ("Q", BLUE, 5.0), "target": ("TD target", ORANGE, 2.0)}
    return together(record, names, "discounted return")


def td_error(record: Record) -> Figure | None:
    """Mean |TD error| of the batches."""
    return together(record, {"td_error": ("|TD error|", TEAL, 2.0)}, "|Q - TD target|", logarithmic=True)


def grad_norms(record: Record) -> Figure | None:
    """Global norms of both gradients before clipping."""
    names = {"critic_grad_norm": ("critic", BLUE, 2.0), "actor_grad_norm": ("actor", ORANGE, 2.0)}
    figure = together(record, names, "norm before clipping", logarithmic=True)
    if figure:
        figure["data"] += events(record)
        figure["layout"]["yaxis9"] = EDGE
    return figure


def together(
    record: Record, names: dict[str, tuple[str, str, float]], y_title: str, logarithmic: bool = False
) -> Figure | None:
    """Figures of the updates on one axis, each with its name, colour and width."""
    found = {name: curve(record.rows["update"], name) for name in names}
    there = [each for each in found.values() if len(each.x)]
    if not there:
        return None
    data: list[Trace] = []
    for name, (label, colour, width) in names.items():
        data += draw(found[name], label, colour, "", line={"color": colour, "width": width})
    y_type = scale(*there) if logarithmic else "linear"
    return {"data": data, "layout": layout(y_title=y_title, y_type=y_type, note=condensed_note(*there))}


def losses(record: Record) -> Figure | None:
    """Loss of the critic above, of the actor below."""
    critic, actor = curve(record.rows["update"], "critic_loss"), curve(record.rows["update"], "actor_loss")
    return stacked(
        draw(critic, "critic loss", BLUE, ""),
        draw(actor, "actor loss", ORANGE, "", yaxis="y2"),
        ("critic: squared error", scale(critic)),
        "actor: -Q",
        condensed_note(critic, actor),
    )


def saturation(record: Record) -> Figure | None:
    """Share of the actor's outputs at their bounds above, spread of the actions in the memory below."""
    share, spread = curve(record.rows["update"], "saturation"), curve(record.rows["probe"], "action_stddev")
    figure = stacked(
        draw(share, "outputs beyond 0.99", PINK, "of all outputs", hovertemplate="%{y:.1%} of the outputs"),
        draw(spread, "spread of actions in memory", GREEN, "of half the range", yaxis="y2"),
        ("outputs at a bound", "linear"),
        "standard deviation",
        condensed_note(share, spread),
    )
    if figure:
        figure["layout"]["yaxis"] |= {"tickformat": ".0%", "range": [-0.03, 1.03]}
        figure["layout"]["yaxis2"] |= {"rangemode": "tozero"}
    return figure


def stacked(
    upper: list[Trace], lower: list[Trace], upper_axis: tuple[str, str], lower_title: str, note: str
) -> Figure | None:
    """Two curves above each other over the same steps."""
    if not upper and not lower:
        return None
    axes = layout(
        y_title=upper_axis[0],
        y_type=upper_axis[1],
        note=note,
        height=440,
        hoversubplots="axis",
        yaxis2={"title": {"text": lower_title}, "domain": [0, 0.46]},
    )
    axes["yaxis"] |= {"domain": [0.54, 1]}
    axes["xaxis"] |= {"anchor": "y2"}
    return {"data": upper + lower, "layout": axes}


def q_return(record: Record) -> Figure | None:
    """Q at the first states of the evaluated episodes against the discounted returns that these then had."""
    rows = record.rows["evaluation"]
    q, returns = spread_curve(rows, "q"), spread_curve(rows, "discounted_returns")
    if not len(q.x):
        return None
    data = [
        *draw(returns, "discounted return", ORANGE, "", mode=points(returns, "lines+markers")),
        *draw(q, "Q at the first state", BLUE, "", mode=points(q, "lines+markers")),
    ]
    return {"data": data, "layout": layout(y_title="discounted return", note=condensed_note(q, returns))}


def speed(record: Record) -> Figure | None:
    """Steps per second between the rows of updates, over the time of training."""
    rates = step_rates(record.rows["update"])
    if not len(rates.x):
        return None
    data = draw(rates, "steps/s", TEAL, "steps/s", line={"color": TEAL, "width": 2, "shape": "vh"})
    note = f"Each point is the mean rate between two of {rates.rows:,} rows." if rates.rows > MOST_RATES else ""
    shape = layout("seconds of training", "environment steps/s", note=note)
    shape |= {"height": 300}
    shape["yaxis"] |= {"rangemode": "tozero"}
    return {"data": data, "layout": shape}


def step_rates(rows: list[Row]) -> Series:
    """Environment steps per second over the seconds of training, at no more than `MOST_RATES` moments."""
    steps, seconds = column(rows, "step"), column(rows, "seconds")
    there = np.isfinite(steps) & np.isfinite(seconds)
    steps, seconds = steps[there], seconds[there]
    if len(steps) > MOST_RATES:
        chosen = np.append(stretches(len(steps) - 1, MOST_RATES), len(steps) - 1)
        steps, seconds = steps[chosen], seconds[chosen]
    passed = np.diff(seconds)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(passed > 0, np.diff(steps) / passed, np.nan)
    rate = np.append(rate[:1], rate)  # each holds since the row before; the first one, since its beginning
    return drop_unknown(seconds, rate, rate, rate)._replace(rows=int(there.sum()))

"""The figures of one run, in the order of the page, and what the page says around each."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from ddpg_jax.runs.report import curves, heatmaps
from ddpg_jax.runs.report.record import Record, last_step
from ddpg_jax.runs.report.traces import STEPS, Figure

LEARNING, Q_TARGET, LOSSES, GRAD_NORMS, TD_ERROR = "learning", "q_target", "losses", "grad_norms", "td_error"
SATURATION, Q_RETURN, POLICY, Q_MAP, SPEED = "saturation", "q_return", "policy", "q_map", "speed"


# What a figure is built from: a run, or groups of runs.
Source = TypeVar("Source")


class Topic(NamedTuple, Generic[Source]):
    """What the page says around a figure.

    Attributes:
        title: its heading.
        healthy: one sentence on what a healthy curve looks like.
        missing: said in its place while there is nothing to draw.
        build: `build(record)` or `build(groups)`, a figure, None while there is nothing to draw.
        wide: whether it takes the width of two where there is room for two.
    """

    title: str
    healthy: str
    missing: str
    build: Callable[[Source], Figure | None]
    wide: bool = False


def figures(record: Record) -> dict[str, Figure]:
    """Every figure that the rows so far suffice for, by id: Plotly's JSON, `{"data": [...], "layout": {...}}`.

    Colours of paper, text and grid are not in them: the page's script lays its light or dark theme over each
    before it calls `Plotly.react`. `layout.meta.note` is a sentence to show below, or empty.

    Args:
        record: what a run has written so far.
    """
    built = {name: topic.build(record) for name, topic in TOPICS.items()}
    found = {name: figure for name, figure in built.items() if figure}
    last = last_step(record)
    for figure in found.values():
        axis = figure["layout"]["xaxis"]
        if axis["title"]["text"] == STEPS:
            # The same for all, so that they can be read above each other; and no `range`, which a live page would
            # set anew over a person's zoom.
            axis["autorangeoptions"] = {"include": [0, 1.02 * last], "clipmin": 0, "clipmax": 1.02 * last}
    return found


TOPICS: dict[str, Topic[Record]] = {
    LEARNING: Topic(
        "Learning curve",
        "A healthy curve climbs and then stays there, with the greedy evaluations at or above the episodes played with "
        "noise.",
        "No episode has ended and no evaluation was made yet.",
        curves.learning,
        wide=True,
    ),
    Q_RETURN: Topic(
        "Q against the return that followed",
        "A healthy Q at the start of an episode meets the discounted return that the episode then has; a Q far above "
        "it and climbing away is diverging.",
        "No evaluation with Q and discounted returns was made yet.",
        curves.q_return,
    ),
    Q_TARGET: Topic(
        "Q against TD target",
        "In health the two lie close together, and level off once the returns do.",
        "No update was made yet.",
        curves.q_target,
    ),
    LOSSES: Topic(
        "Losses of critic and actor",
        "A healthy critic loss stays within an order of magnitude or two after its first rise, and the actor loss, "
        "which is -Q, sinks while the policy improves.",
        "No update was made yet.",
        curves.losses,
    ),
    SATURATION: Topic(
        "Saturation of tanh, and the spread of actions",
        "In health only some of the outputs are at a bound and the actions in memory stay spread out; outputs that are "
        "all at a bound have no gradient left.",
        "No update was made yet.",
        curves.saturation,
    ),
    TD_ERROR: Topic(
        "Absolute TD error",
        "A healthy error is small beside Q and does not keep growing.",
        "No update was made yet.",
        curves.td_error,
    ),
    GRAD_NORMS: Topic(
        "Gradient norms",
        "Healthy norms settle; steady growth comes before divergence, and an actor whose norm falls to zero has "
        "stopped learning.",
        "No update was made yet.",
        curves.grad_norms,
    ),
    POLICY: Topic(
        "How the policy changes",
        "A healthy policy changes fast at first and keeps its stripes later, with different actions in different "
        "states.",
        "No probe of the policy was made yet.",
        heatmaps.policy,
    ),
    Q_MAP: Topic(
        "How Q changes",
        "A healthy Q comes to tell states apart and then settles; all of them brightening without end is divergence.",
        "No probe of the policy was made yet.",
        heatmaps.q_map,
    ),
    SPEED: Topic(
        "Speed",
        "A healthy rate is flat; dips are evaluations, checkpoints, or other work on the machine.",
        "There are not two rows of updates yet.",
        curves.speed,
        wide=True,
    ),
}

"""The figures of several runs, and what the page says around each."""

from collections.abc import Sequence
from typing import NamedTuple

from ddpg_jax.runs.report import comparison_curves, comparison_heatmaps
from ddpg_jax.runs.report.comparison import MOST_COMPARED, MOST_POINTS, Improvement, improvement_figure, iqm_figure
from ddpg_jax.runs.report.figures import LOSSES, POLICY, Q_MAP, Q_RETURN, Topic
from ddpg_jax.runs.report.groups import Group

# Points of the curves of all groups together, and of each at least: the page of many settings stays small.
ALL_POINTS, FEWEST_POINTS = 2000, 16


class Compared(NamedTuple):
    """What a figure shows.

    Attributes:
        groups: of one environment.
        points: of each curve.
        columns: of each heat map.
    """

    groups: list[Group]
    points: int
    columns: int


def by_environment(groups: Sequence[Group]) -> dict[str, Compared]:
    """The groups of each environment, with as many points as the page has room for."""
    points = min(MOST_POINTS, max(FEWEST_POINTS, ALL_POINTS // len(groups)))
    envs = dict.fromkeys(group.env for group in groups)
    return {env: Compared([group for group in groups if group.env == env], points, points // 2) for env in envs}


IQM: Topic[Compared] = Topic(
    "Interquartile mean of the evaluations",
    "This is the mean of the middle half of the seeds: a better setting lies higher, and its band does not touch the "
    "others'.",
    "There is no evaluation yet that all runs of a group have.",
    lambda compared: iqm_figure(compared.groups, compared.points),
    wide=True,
)
PAIRS: Topic[list[Improvement]] = Topic(
    "Probability of improvement",
    "This is how probably a seed of the one setting ends above a seed of the other: an interval that leaves out 0.5 "
    f"tells them apart, if the seeds are not too few. Of more than {MOST_COMPARED} settings, each is compared with the "
    "best.",
    "There are no two settings with evaluations of the same environment.",
    improvement_figure,
    wide=True,
)
DETAILS: dict[str, Topic[Compared]] = {
    Q_RETURN: Topic(
        "Q against the return that followed",
        "A critic that promises more than follows has a solid line above its dotted one.",
        "No evaluation with Q and discounted returns was made that all runs of a group have.",
        lambda compared: comparison_curves.q_return(compared.groups, compared.points),
    ),
    LOSSES: Topic(
        "Losses of critic and actor",
        "Losses of settings whose rewards or targets differ in size cannot be compared by their height.",
        "No update was made that all runs of a group have.",
        lambda compared: comparison_curves.losses(compared.groups, compared.points),
    ),
    POLICY: Topic(
        "How the policies change",
        "Stripes that stay are a policy that has settled; one colour everywhere is the same action in every state.",
        "No probe of a policy was made yet.",
        lambda compared: comparison_heatmaps.policies(compared.groups, compared.columns),
    ),
    Q_MAP: Topic(
        "How Q changes",
        "A healthy Q comes to tell states apart; colours are the same for all settings.",
        "No probe of a policy was made yet.",
        lambda compared: comparison_heatmaps.q_maps(compared.groups, compared.columns),
    ),
}

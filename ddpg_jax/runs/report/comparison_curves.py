"""What the updates of several settings were like, beside each other: Q, and the losses."""

from collections.abc import Callable, Iterator, Sequence

from ddpg_jax.runs.report.curves import stacked
from ddpg_jax.runs.report.groups import Group, common_points
from ddpg_jax.runs.report.record import Record
from ddpg_jax.runs.report.series import Series, condense, curve, spread_curve
from ddpg_jax.runs.report.traces import PALETTE, Figure, Trace, draw, layout, legend_height, scale, wrapped

BANDS = "Lines are means over the seeds, and bands reach from the least seed to the greatest."


def q_return(groups: Sequence[Group], points: int) -> Figure | None:
    """Q at the first states of the evaluated episodes, and the discounted returns that these then had."""
    data: list[Trace] = []
    for group, colour, name in coloured(groups):
        q, returns = (evaluated(group, figure, points) for figure in ("q", "discounted_returns"))
        line = {"color": colour, "width": 2, "dash": "dot"}
        data += draw(returns, name, colour, "returned", line=line, showlegend=not len(q.x))
        data += draw(q, name, colour, "promised")
    note = f"Solid is Q, dotted the discounted return that followed. {BANDS}"
    if not data:
        return None
    return {"data": data, "layout": layout(y_title="discounted return", note=note, legend=legend(groups), height=440)}


def losses(groups: Sequence[Group], points: int) -> Figure | None:
    """Loss of the critic above, of the actor below."""
    upper: list[Trace] = []
    lower: list[Trace] = []
    critics = []
    for group, colour, name in coloured(groups):
        critic, actor = (updated(group, figure, points) for figure in ("critic_loss", "actor_loss"))
        upper += draw(critic, name, colour, "")
        lower += draw(actor, name, colour, "", yaxis="y2", showlegend=not len(critic.x))
        critics.append(critic)
    figure = stacked(upper, lower, ("critic: squared error", scale(*critics)), "actor: -Q", BANDS)
    if figure:
        figure["layout"]["meta"]["legend"] = legend(groups)
    return figure


def legend(groups: Sequence[Group]) -> int:
    """Pixels of the legend, if its names are below each other."""
    return legend_height(name for _, _, name in coloured(groups))


def coloured(groups: Sequence[Group]) -> Iterator[tuple[Group, str, str]]:
    """Each group with its colour, which is the same in all figures, and its name."""
    for index, group in enumerate(groups):
        yield group, PALETTE[index % len(PALETTE)], wrapped(group.setting)


def evaluated(group: Group, name: str, points: int) -> Series:
    """A figure of the evaluations over the seeds."""
    return over_seeds(group, lambda record: spread_curve(record.rows["evaluation"], name), points)


def updated(group: Group, name: str, points: int) -> Series:
    """A figure of the updates over the seeds."""
    return over_seeds(group, lambda record: curve(record.rows["update"], name), points)


def over_seeds(group: Group, read: Callable[[Record], Series], points: int) -> Series:
    """Mean over the seeds of a curve, from the least to the greatest, at the steps that all of them have."""
    steps, values = common_points([read(record) for record in group.records])
    whole = Series(steps, values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(steps))
    return condense(whole, points, points)

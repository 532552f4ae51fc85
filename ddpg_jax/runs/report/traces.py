"""What figures are drawn with, as Plotly's JSON: curves with their spread, marks, and the layout around them.

Colours of data are the same on light and dark paper, with a contrast of at least 3 to 1 on both; paper, text and
grid are coloured by the page.
"""

import html
import math
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

from ddpg_jax.runs.report.series import MOST, STRETCHES, Series, condense

Trace = dict[str, Any]
Figure = dict[str, Any]

BLUE, ORANGE, GREEN, PINK, VIOLET, BROWN, TEAL, GREY = PALETTE = (
    "#3b82e6", "#d9730d", "#1d9a5b", "#d8498f", "#8b6fe8", "#a5764c", "#1a93a8", "#7d8590",
)  # fmt: skip
STEPS = "environment steps"
# Where an axis has room for few ticks, Plotly would print one at each of 0.1 to 0.9.
LOGARITHMIC = {"tickformat": "~g", "nticks": 4}
# Characters of a line that a phone has room for.
PHONE = 36
# Longer texts from a run are cut where a figure shows them.
LONGEST = 120


def rounded(values: np.ndarray, digits: int = 5) -> list[float | None]:
    """Numbers for JSON, with the digits that a screen can show; None where they are not finite."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values.tolist()]


def positions(x: np.ndarray) -> list[float | None]:
    """Steps or seconds for JSON, every digit of them."""
    return rounded(x, digits=12)


def shade(colour: str, opacity: float) -> str:
    """A colour `#rrggbb` that lets through what is behind it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def plain(text: str) -> str:
    """Text from a run for Plotly, which reads some HTML."""
    return html.escape(text if len(text) <= LONGEST else text[:LONGEST] + "...")


def wrapped(text: str, most: int = PHONE) -> str:
    """Text from a run for Plotly, in lines of at most so many characters; a setting stays with its value."""
    lines = textwrap.wrap(text.replace(" = ", "\xa0=\xa0"), most)
    return "<br>".join(plain(line.replace("\xa0", " ")) for line in lines)


def legend_height(names: Iterable[str]) -> int:
    """Pixels of a legend that has each of some wrapped names below the other."""
    return sum(14 + 16 * (1 + name.count("<br>")) for name in names)


def draw(whole: Series, name: str, colour: str, unit: str, **more: Any) -> list[Trace]:
    """A curve, with a band from least to greatest where its points have a spread.

    Args:
        whole: the curve; condensed where it is long.
        name: in the legend, which switches curve and band together.
        colour: `#rrggbb`.
        unit: said behind the values.
        more: of Plotly's settings for the curve itself.
    """
    drawn = condense(whole)
    if not len(drawn.x):
        return []
    value = f"%{{y:,.5~g}} {unit}".strip()
    line = {
        "type": "scatter",
        "mode": "lines" if len(drawn.x) > 1 else "markers",
        "name": name,
        "legendgroup": name,
        "x": positions(drawn.x),
        "y": rounded(drawn.y),
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 7},
        "hovertemplate": value,
        **more,
    }
    if (drawn.low >= drawn.high).all():
        return [line]
    line["customdata"] = list(zip(rounded(drawn.low), rounded(drawn.high), strict=True))
    line["hovertemplate"] = f"{value} (%{{customdata[0]:,.5~g}} to %{{customdata[1]:,.5~g}})"
    if len(drawn.x) == 1:
        up, down = drawn.high - drawn.y, drawn.y - drawn.low
        line["error_y"] = {"symmetric": False, "array": rounded(up), "arrayminus": rounded(down), "color": colour}
        return [line]
    axes = {key: more[key] for key in ("xaxis", "yaxis") if key in more}
    return [band(drawn, name, colour) | axes, line]


def background(name: str) -> Trace:
    """A line that is there to be seen and not to be read, and comes and goes with the curve of that name."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def band(drawn: Series, name: str, colour: str) -> Trace:
    """The area from least to greatest."""
    return {
        **background(name),
        "x": positions(np.concatenate([drawn.x, drawn.x[::-1]])),
        "y": rounded(np.concatenate([drawn.high, drawn.low[::-1]])),
        "fill": "toself",
        "fillcolor": shade(colour, 0.2),
        "line": {"width": 0},
    }


def marks(steps: np.ndarray, texts: list[str], name: str, colour: str, symbol: str) -> list[Trace]:
    """Events, as marks along the lower edge of a figure whose `yaxis9` is `EDGE`."""
    if not len(steps):
        return []
    trace = {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": positions(steps),
        "y": [0.03] * len(steps),
        "yaxis": "y9",
        "marker": {"color": colour, "size": 9, "symbol": symbol},
        "text": [plain(text) for text in texts],
        "hovertemplate": "%{text}",
    }
    return [trace]


EDGE = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}


def layout(
    x_title: str = STEPS, y_title: str = "", y_type: str = "linear", note: str = "", legend: int = 0, **more: Any
) -> dict:
    """The layout that all figures over a common axis share.

    Args:
        x_title: name and unit of the horizontal axis.
        y_title: name and unit of the vertical axis.
        y_type: "linear" or "log".
        note: a sentence that the page shows below the figure.
        legend: pixels of a long legend in one column; the page makes the figure higher by what it takes there.
        more: of Plotly's settings for layouts, laid over the shared ones.
    """
    shared = {
        "height": 360,
        "margin": {"l": 62, "r": 14, "t": 14, "b": 48},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": {
            "title": {"text": x_title},
            "exponentformat": "SI",
            "separatethousands": True,
            "zeroline": False,
            "hoverformat": ",d",
            "unifiedhovertitle": {"text": f"%{{x:,.0f}} {x_title}"},
        },
        "yaxis": {"title": {"text": y_title}, "type": y_type} | (LOGARITHMIC if y_type == "log" else {}),
        # What is zoomed or switched off stays so when the figure is drawn again.
        "uirevision": "kept",
        "meta": {"note": note, "legend": legend},
    }
    return shared | more


def scale(*curves: Series) -> str:
    """A logarithmic axis for what is positive throughout, else a linear one."""
    return "log" if all((each.low > 0).all() for each in curves) else "linear"


def condensed_note(*curves: Series) -> str:
    """A sentence saying how the longest of some curves was condensed, empty if none was."""
    rows = max((each.rows for each in curves if len(each.x) > MOST), default=0)
    if not rows:
        return ""
    return (
        f"Up to {rows:,} rows are drawn as {STRETCHES} stretches: the mean of each, and a band from its least value to "
        "its greatest."
    )

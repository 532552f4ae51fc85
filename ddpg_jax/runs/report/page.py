"""The page: one HTML file that holds everything it needs, and by default asks the network for nothing.

Its Content-Security-Policy lets exactly its own scripts run, and only these; text from runs is escaped wherever it
stands.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Literal

import ddpg_jax
from ddpg_jax.config import ConfigError
from ddpg_jax.runs.report.traces import Figure
from ddpg_jax.runs.storage.strict_json import dumps

NO_CONNECTION = "'none'"
# Where the page has plotly.js from: from itself, or from the network of plotly's makers when it is opened.
Plotly = Literal["inline", "cdn"]


def page(
    title: str,
    head: str,
    sections: str,
    figures: Mapping[str, Figure],
    foot: str = "",
    script: str = "",
    connect: str = NO_CONNECTION,
    plotly: Plotly = "inline",
) -> str:
    """The whole page.

    Args:
        title: of the document, as text.
        head: what is above the figures, as HTML; the element `#head`.
        sections: the places of the figures, each by `section`.
        figures: by id; its script calls `report.draw(figures)` with them, and may be called again with others.
        foot: what is below the figures, as HTML.
        script: of a page that is alive, run after the figures are drawn.
        connect: what such a script may ask, as the policy names it: "'self'" is the server of the page.
        plotly: "inline" for a page that needs no network, of 5 MB; "cdn" for a small one that fetches plotly.js.

    Raises:
        ConfigError: if Plotly is not installed.
    """
    library, own = plotly_script(), [asset("page.js"), *([script] if script else [])]
    allowed = [content_hash(each) for each in (library, *own)]
    first = f"<script>{library}</script>"
    if plotly == "cdn":
        allowed, first = [*allowed, cdn_url()], fetching(library)
    return Template(asset("page.html")).substitute(
        title=escape(title),
        version=escape(ddpg_jax.__version__),
        sources=" ".join(allowed),
        connect=connect,
        style=asset("page.css"),
        head=head,
        sections=sections,
        foot=foot,
        figures=json_in_html(figures),
        scripts="\n".join([first, *(f"<script>{each}</script>" for each in own)]),
    )


def plotly_script() -> str:
    """The source of plotly.js.

    Raises:
        ConfigError: if Plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ConfigError("the report needs Plotly; pip install plotly") from None
    return get_plotlyjs()


def cdn_url() -> str:
    """Where the makers of plotly.js keep this version of it."""
    from plotly.offline import get_plotlyjs_version

    return f"https://cdn.plot.ly/plotly-{get_plotlyjs_version()}.min.js"


def fetching(library: str) -> str:
    """The element that fetches plotly.js, and runs nothing else that may be there."""
    integrity = content_hash(library).strip("'")
    return f'<script src="{cdn_url()}" integrity="{integrity}" crossorigin="anonymous"></script>'


def asset(name: str) -> str:
    """A file beside this one."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def content_hash(script: str) -> str:
    """What a Content-Security-Policy knows a script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def json_in_html(values: Mapping) -> str:
    """JSON that cannot close the script element it stands in."""
    return dumps(values, separators=(",", ":")).replace("<", "\\u003c")


def section(name: str, title: str, caption: str, missing: str, classes: str = "") -> str:
    """The place of one figure, with a sentence that stands there while there is nothing to draw."""
    return (
        f'<figure class="{f"figure {classes}".strip()}" id="{name}" data-figure="{name}">'
        f"<figcaption><h2>{escape(title)}</h2><p>{escape(caption)}</p></figcaption>"
        f'<p class="missing">{escape(missing)}</p><div class="plot" hidden></div><p class="note"></p></figure>'
    )


def facts(values: Iterable[tuple[str, str, str]]) -> str:
    """Name, value and a remark of a few figures, in boxes."""
    boxes = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(more)}</small>' if more else ''}</dd></div>"
        for name, value, more in values
    )
    return f'<dl class="facts">{"".join(boxes)}</dl>'


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], marked: Iterable[int] = ()) -> str:
    """A table of text; its first column names the rows.

    Args:
        caption: its heading.
        header: names of the columns.
        rows: of as many texts.
        marked: indices of rows that stand out.
    """
    stand_out = set(marked)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr{" class=changed" if index in stand_out else ""}><th scope="row">{escape(first)}</th>'
        f"{''.join(cells(header[1:], others))}</tr>"
        for index, (first, *others) in enumerate(rows)
    )
    wide = " wide" if len(header) > 3 else ""
    return (
        f'<div class="table{wide}" tabindex="0"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def cells(names: Sequence[str], values: Sequence[str]) -> Iterable[str]:
    """Cells that know the name of their column, which a narrow screen shows beside each."""
    for name, value in zip(names, values, strict=True):
        yield f'<td data-name="{escape(name)}">{escape(value)}</td>'

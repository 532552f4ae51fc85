"""The page of one run: the verdict, what matters in numbers, the figures, settings and versions."""

from html import escape

import numpy as np

from ddpg_jax.config import Config
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.console.progress import num_cut
from ddpg_jax.runs.report.figures import TOPICS, figures
from ddpg_jax.runs.report.page import NO_CONNECTION, Plotly, facts, page, section, table
from ddpg_jax.runs.report.record import Record, last_step
from ddpg_jax.runs.report.series import column, numbers, spread_curve
from ddpg_jax.runs.report.settings import flat_settings, shown
from ddpg_jax.runs.report.verdict import Verdict, judge

VERDICT_CLASSES = {"learning": "good", "plateau": "soft", "too few steps": "soft"}


def run_page(record: Record, script: str = "", connect: str = NO_CONNECTION, plotly: Plotly = "inline") -> str:
    """The page of a run, finished or not.

    Args:
        record: what it has written so far.
        script: of a page that is alive: it may call `report.draw(figures)` again, and replace what is in `#head`.
        connect: what such a script may ask, as a Content-Security-Policy names it.
        plotly: where the page has plotly.js from, as `page` knows it.

    Raises:
        ConfigError: if Plotly is not installed.
    """
    verdict = judge(record)
    return page(
        name_run(record),
        run_head(record, verdict),
        run_sections(verdict),
        figures(record),
        run_foot(record),
        script,
        connect,
        plotly,
    )


def name_run(record: Record) -> str:
    """Environment and seed."""
    return f"{record.run.config.env}, seed {record.run.config.seed}"


def run_head(record: Record, verdict: Verdict) -> str:
    """Title, verdict and the main figures, as HTML."""
    problem = f"<p>{record.unreadable:,} lines of its metrics could not be read and are left out.</p>"
    return "".join(
        [
            f"<header><h1>{escape(name_run(record))}</h1>",
            f'<p class="quiet">Run directory <span class="code">{escape(str(record.run.path))}</span></p></header>',
            verdict_box(verdict),
            problem if record.unreadable else "",
            facts(main_figures(record)),
        ]
    )


def verdict_box(verdict: Verdict) -> str:
    """The verdict with its reasons, what to try, and a link to the figure that shows it."""
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    remedies = "".join(f"<li>{escape(remedy)}</li>" for remedy in verdict.remedies)
    seen = TOPICS[verdict.figure].title if verdict.figure in TOPICS else ""
    return "".join(
        [
            f'<section class="verdict {verdict_class(verdict)}" aria-label="Verdict">',
            f'<p class="kind">{escape(verdict.kind)}</p>',
            f"<h2>{escape(verdict.headline)}</h2>",
            f"<ul>{reasons}</ul>" if reasons else "",
            f"<p><strong>To try</strong></p><ul>{remedies}</ul>" if remedies else "",
            f'<p>It shows in <a href="#{verdict.figure}">{escape(seen)}</a>.</p>' if seen else "",
            "</section>",
        ]
    )


def verdict_class(verdict: Verdict) -> str:
    """Class of a verdict's colour."""
    return VERDICT_CLASSES.get(verdict.kind, "bad")


def main_figures(record: Record) -> list[tuple[str, str, str]]:
    """Name, value and remark of what one asks first."""
    rows, train = record.rows, record.run.config.train
    evaluations = spread_curve(rows["evaluation"], "returns")
    found = [("steps", f"{last_step(record):,}", f"of {train.total_steps:,}")]
    if len(evaluations.x):
        low, high, best = evaluations.low[-1], evaluations.high[-1], evaluations.y.argmax()
        cut = num_cut(numbers(rows["evaluation"][-1].get("lengths")), train.eval_steps)
        remark = f"from {format_number(low)} to {format_number(high)}"
        remark += f", {cut} cut at {train.eval_steps:,} steps" if cut else ""
        if evaluations.x[-1] < last_step(record):
            remark += f", after {evaluations.x[-1]:,.0f} steps"
        found += [
            ("last evaluation", format_number(evaluations.y[-1]), remark),
            ("best evaluation", format_number(evaluations.y[best]), f"after {evaluations.x[best]:,.0f} steps"),
        ]
    elif not train.final_eval_episodes:
        found.append(("last evaluation", "none", "train.final_eval_episodes is 0"))
    if rows["episode"]:
        found.append(
            ("episodes", f"{len(rows['episode']):,}", f"{len(rows['restart']):,} cut" if rows["restart"] else "")
        )
    seconds, rate = training_seconds(record), mean_rate(record)
    if np.isfinite(rate):
        found.append(("training", duration(seconds), f"{rate:,.0f} steps/s"))
    skipped = column(rows["update"][-1:], "skipped")
    if len(skipped) and skipped[-1] > 0:
        found.append(("updates skipped", f"{skipped[-1]:,.0f}", "a gradient was not finite"))
    return found


def training_seconds(record: Record) -> float:
    """Seconds of training until the last row of updates, nan if there is none."""
    return float(next(iter(column(record.rows["update"][-1:], "seconds")), np.nan))


def mean_rate(record: Record) -> float:
    """Environment steps per second over the whole training, nan if it is not known."""
    seconds, step = training_seconds(record), column(record.rows["update"][-1:], "step")
    return float(step[-1] / seconds) if seconds > 0 else np.nan


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def run_sections(verdict: Verdict) -> str:
    """The places of all figures; the one that shows the verdict stands out."""
    places = []
    for name, topic in TOPICS.items():
        classes = ["across"] * topic.wide + [f"shows {verdict_class(verdict)}"] * (name == verdict.figure)
        places.append(section(name, topic.title, topic.healthy, topic.missing, " ".join(classes)))
    return "\n".join(places)


def run_foot(record: Record) -> str:
    """Settings, those that are not the defaults standing out, and versions."""
    defaults, settings = flat_settings(Config()), flat_settings(record.run.config)
    tables = []
    for part in dict.fromkeys(map(section_of, settings)):
        names = [name for name in settings if section_of(name) == part]
        rows = [(name.removeprefix(f"{part}."), shown(settings[name])) for name in names]
        changed = [index for index, name in enumerate(names) if settings[name] != defaults[name]]
        tables.append(table(part or "run", ("setting", "value"), rows, changed))
    if origin := record.run.origin:
        memory = "that run's" if origin.replay else "empty"
        taken = f"{origin.checkpoint}, after {origin.step:,} steps"
        rows = [("run", origin.run), ("checkpoint", taken), ("replay memory", memory)]
        tables.append(table("warm start", ("began with", "value"), rows))
    versions = [(str(name), str(value)) for name, value in record.run.versions.items()]
    tables.append(table("versions", ("package", "version"), versions))
    return (
        '<section class="settings" aria-labelledby="settings"><h2 id="settings">Settings and versions</h2>'
        '<p class="quiet">Bold settings are not the defaults.</p>'
        f'<div class="tables">{"".join(tables)}</div></section>'
    )


def section_of(setting: str) -> str:
    """`agent` of `agent.tau`, nothing of `seed`."""
    return setting.rpartition(".")[0]

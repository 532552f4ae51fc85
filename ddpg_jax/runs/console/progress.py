"""What is said on the console. Training is followed by a live line on a terminal, by plain lines anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ddpg_jax.runs.console.formatting import format_duration, format_number
from ddpg_jax.training.evaluation import Evaluation

# Seconds between two lines at first and at most, and how many of the newest pauses make up the time so far: ten hours
# have about two hundred lines.
PLAIN_EVERY, LONGEST_PAUSE, PAUSES = 5.0, 300.0, 20
# Characters of the bar in a notebook.
BAR = 20
# Steps of an evaluation, over all of its environments, in which one expects the end of an episode.
PATIENCE = 100_000


class Status(NamedTuple):
    """What is shown.

    Attributes:
        step: environment steps so far.
        total: environment steps of the run.
        last: return of the newest episode or evaluation, None before the first.
        best: mean return of the best evaluation, None before the first.
        rate: steps per second.
        playing: what an evaluation has played so far, in words; empty while training.
    """

    step: int
    total: int
    last: float | None
    best: float | None
    rate: float
    playing: str = ""


def describe(status: Status) -> str:
    """A status as one line: steps, last return, best evaluation, and rate and time left or how far an evaluation is."""
    last, best = ("   -" if value is None else format_number(value) for value in (status.last, status.best))
    so_far = f"{status.step:,}/{status.total:,} steps  return {last} (best evaluation {best})"
    if status.playing:
        return f"{so_far}  evaluating: {status.playing}"
    left = (status.total - status.step) / status.rate if status.rate else float("inf")
    return f"{so_far}  {status.rate:,.0f} steps/s  {format_duration(left)} left"


@contextmanager
def show_progress(
    console: Console, total: int, sparklines: Callable[[], str] = str
) -> Iterator[Callable[[Status], None]]:
    """Yield `show(status)`: a live bar in a terminal or a notebook, else a line every few seconds or minutes.

    Args:
        console: where to write.
        total: environment steps of the run.
        sparklines: further lines, if any, as they are now.
    """

    def text(status: Status) -> str:
        return "\n".join(filter(None, [describe(status), sparklines()]))

    if console.is_jupyter:
        yield in_notebook(text)
        return
    if not console.is_terminal:
        yield plain(console, text)
        return
    # No refresh thread: it would take the interpreter from the environments.
    with Progress(
        BarColumn(), TextColumn("{task.description}", markup=False), console=console, auto_refresh=False
    ) as bar:
        task = bar.add_task("compiling", total=total)

        def show(status: Status) -> None:
            bar.update(task, completed=status.step, description=text(status), refresh=True)

        bar.refresh()
        yield show


def in_notebook(text: Callable[[Status], str]) -> Callable[[Status], None]:
    """`show(status)` that writes it below the cell, each time in place of the last one; rich would need ipywidgets."""
    from IPython.display import display

    shown = display({"text/plain": "compiling"}, raw=True, display_id=True)

    def show(status: Status) -> None:
        done = int(BAR * min(1.0, status.step / status.total))
        bar = "#" * done + "-" * (BAR - done)
        shown.update({"text/plain": f"[{bar}] {text(status)}"}, raw=True)

    return show


def plain(console: Console, text: Callable[[Status], str]) -> Callable[[Status], None]:
    """`show(status)` that prints it now and then, less often the longer it lasts, and at the end of the training."""
    begin = time.monotonic()
    due = 0.0

    def show(status: Status) -> None:
        nonlocal due
        passed = time.monotonic() - begin
        if passed >= due or (status.step >= status.total and not status.playing):
            console.print(text(status), markup=False, highlight=False, soft_wrap=True)
            due = passed + min(LONGEST_PAUSE, max(PLAIN_EVERY, passed / PAUSES))

    return show


def describe_playing(steps: int, episodes: int, total: int) -> str:
    """What an evaluation has played so far, in words."""
    return f"{episodes:,} of {total:,} episodes, {steps:,} steps"


@contextmanager
def show_evaluation(console: Console, total: int) -> Iterator[Callable[[int, int], None]]:
    """Yield `show(steps, episodes)` for an evaluation by itself: a live line, or one every few seconds.

    Args:
        console: where to write.
        total: episodes of the evaluation.
    """
    if console.is_terminal:
        with console.status("") as status:
            yield lambda steps, episodes: status.update(describe_playing(steps, episodes, total))
        return
    shown = time.monotonic()

    def show(steps: int, episodes: int) -> None:
        nonlocal shown
        if time.monotonic() - shown >= PLAIN_EVERY:
            print_line(console, describe_playing(steps, episodes, total))
            shown = time.monotonic()

    yield show


def make_stall_warning(warn: Callable[[str], None], remedy: str) -> Callable[[int, int], None]:
    """Build `wait(steps, episodes)`, which warns once if no episode has ended in the last `PATIENCE` steps.

    Args:
        warn: called with the line.
        remedy: what to do about it.
    """
    last, ended_at, warned = 0, 0, False

    def wait(steps: int, episodes: int) -> None:
        nonlocal last, ended_at, warned
        if episodes > last:
            last, ended_at = episodes, steps
        if steps - ended_at >= PATIENCE and not warned:
            warn(f"no episode of the evaluation ended in {steps - ended_at:,} steps, and it goes on; {remedy}")
            warned = True

    return wait


def print_line(console: Console, line: str) -> None:
    """Print one line, as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_evaluation(
    console: Console, subject: str, evaluation: Evaluation, max_steps: int | None = None, limit: str = ""
) -> None:
    """Print mean and spread of an evaluation in one line.

    Args:
        console: where to write.
        subject: whose evaluation it is.
        evaluation: what was played.
        max_steps: after which its episodes were cut.
        limit: what that is called.
    """
    returns, cut = evaluation.returns.astype(float), num_cut(evaluation.lengths, max_steps)
    counted = f"; {cut} of them cut at {limit} = {max_steps}, where their return counts as it is" if cut else ""
    print_line(
        console,
        f"{subject}: return {format_number(returns.mean())} +- {format_number(returns.std())} "
        f"(mean and standard deviation of {len(returns)} episodes, worst {format_number(returns.min())}{counted})",
    )


def num_cut(lengths: np.ndarray, max_steps: int | None) -> int:
    """How many episodes lasted as long as they were allowed to."""
    return 0 if max_steps is None else int((lengths >= max_steps).sum())

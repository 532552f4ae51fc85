"""What is said on the console. Training is followed by a live line on a terminal, by plain lines anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ddpg_jax.training.evaluation import Evaluation

PLAIN_EVERY = 5.0


class Status(NamedTuple):
    """What is shown.

    Attributes:
        step: environment steps so far.
        total: environment steps of the run.
        last: return of the newest episode or evaluation, None before the first.
        best: the greatest of them.
        rate: steps per second.
    """

    step: int
    total: int
    last: float | None
    best: float | None
    rate: float


def describe(status: Status) -> str:
    """A status as one line: steps, last and best return, rate, time left."""
    last, best = ("   -" if value is None else f"{value:.1f}" for value in (status.last, status.best))
    left = (status.total - status.step) / status.rate if status.rate else float("inf")
    left_text = f"{left // 60:.0f}:{left % 60:02.0f}" if left < 1e6 else "-:--"
    return (
        f"{status.step:,}/{status.total:,} steps  return {last} (best {best})  "
        f"{status.rate:,.0f} steps/s  {left_text} left"
    )


@contextmanager
def follow(console: Console, total: int, sketch: Callable[[], str] = str) -> Iterator[Callable[[Status], None]]:
    """Yield `show(status)`: a live bar if the console is a terminal, else a line every few seconds.

    Args:
        console: where to write.
        total: environment steps of the run.
        sketch: further lines, if any, as they are now.
    """

    def text(status: Status) -> str:
        return "\n".join(filter(None, [describe(status), sketch()]))

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


def plain(console: Console, text: Callable[[Status], str]) -> Callable[[Status], None]:
    """`show(status)` that prints it at most every few seconds, and at the end."""
    shown = -PLAIN_EVERY

    def show(status: Status) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= PLAIN_EVERY or status.step >= status.total:
            console.print(text(status), markup=False, highlight=False, soft_wrap=True)
            shown = now

    return show


def say(console: Console, line: str) -> None:
    """Print one line, as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def say_evaluation(console: Console, subject: str, evaluation: Evaluation) -> None:
    """Print mean and spread of an evaluation in one line."""
    returns = evaluation.returns.astype(float)
    say(
        console,
        f"{subject}: return {returns.mean():.1f} +- {returns.std():.1f} "
        f"(mean and standard deviation of {len(returns)} episodes, worst {returns.min():.1f})",
    )

import io
import time

import numpy as np
import pytest
from rich.console import Console

from ddpg_jax.runs.console import progress
from ddpg_jax.runs.console.progress import Status, describe, describe_playing, show_evaluation, show_progress


def test_a_status_is_one_line():
    line = describe(Status(2_500, 10_000, -321.04, -150.25, 500.0))
    assert line == "2,500/10,000 steps  return -321.0 (best evaluation -150.2)  500 steps/s  0:00:15 left"


def test_a_status_of_an_evaluation_says_how_far_that_is():
    playing = describe_playing(12_000, 3, 10)
    line = describe(Status(2_500, 10_000, -321.04, -150.25, 0.0, playing))
    assert (
        line == "2,500/10,000 steps  return -321.0 (best evaluation -150.2)  evaluating: 3 of 10 episodes, 12,000 steps"
    )


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_an_evaluation_by_itself_is_a_live_line_or_says_nothing_while_it_is_short(terminal, shown):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    with show_evaluation(console, 5) as show:
        show(10, 2)
        time.sleep(0.2)  # rich draws a few times a second
    assert ("2 of 5 episodes, 10 steps" in console.file.getvalue()) is shown


def test_an_evaluation_by_itself_that_takes_long_is_told_about(monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    console = Console(file=io.StringIO(), force_terminal=False)
    with show_evaluation(console, 5) as show:
        show(10, 2)
    assert console.file.getvalue() == "2 of 5 episodes, 10 steps\n"


def test_the_last_steps_are_shown_once_and_not_with_every_look_at_their_evaluation():
    console = Console(file=io.StringIO(), force_terminal=False)
    with show_progress(console, 10) as show:
        show(Status(10, 10, None, None, 1.0))
        show(Status(10, 10, None, None, 0.0, "1 of 5 episodes, 9 steps"))
    assert len(console.file.getvalue().splitlines()) == 1


def test_before_the_first_return_there_is_a_dash():
    assert "return    - (best evaluation    -)" in describe(Status(0, 10, None, None, 0.0))


def test_without_a_terminal_lines_are_plain_and_the_last_is_shown():
    console = Console(file=io.StringIO(), force_terminal=False)
    with show_progress(console, 10) as show:
        for step in range(1, 11):
            show(Status(step, 10, None, None, 1.0))
    lines = console.file.getvalue().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["1/10", "10/10"]


def test_without_a_terminal_a_run_of_ten_hours_writes_about_two_hundred_lines(monkeypatch):
    console, now = Console(file=io.StringIO(), force_terminal=False), 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with show_progress(console, 36_000) as show:
        for step in range(36_000):
            now = float(step)
            show(Status(step, 36_000, None, None, 1.0))
    lines = [int(line.partition("/")[0].replace(",", "")) for line in console.file.getvalue().splitlines()]
    assert lines[:4] == [0, 5, 10, 15]
    assert 150 < len(lines) < 250
    assert max(np.diff(lines)) <= 300


def test_on_a_terminal_the_line_is_live():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with show_progress(console, 10) as show:
        show(Status(10, 10, -1.0, -1.0, 1.0))
    assert "10/10 steps" in console.file.getvalue()

import io

from rich.console import Console

from ddpg_jax.runs.progress import Status, describe, follow


def test_a_status_is_one_line():
    line = describe(Status(2_500, 10_000, -321.04, -150.25, 500.0))
    assert line == "2,500/10,000 steps  return -321.0 (best -150.2)  500 steps/s  0:15 left"


def test_before_the_first_return_there_is_a_dash():
    assert "return    - (best    -)" in describe(Status(0, 10, None, None, 0.0))


def test_without_a_terminal_lines_are_plain_and_the_last_is_shown():
    console = Console(file=io.StringIO(), force_terminal=False)
    with follow(console, 10) as show:
        for step in range(1, 11):
            show(Status(step, 10, None, None, 1.0))
    lines = console.file.getvalue().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["1/10", "10/10"]


def test_on_a_terminal_the_line_is_live():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with follow(console, 10) as show:
        show(Status(10, 10, -1.0, -1.0, 1.0))
    assert "10/10 steps" in console.file.getvalue()

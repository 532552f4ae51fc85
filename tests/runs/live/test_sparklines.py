import io

from rich.console import Console

from ddpg_jax.runs.live.sparklines import ASCII_LEVELS, NO_SPARKLINES, make_sparklines, sparkline

UPDATE = {"kind": "update", "step": 500, "q": -3.0, "target": -3.5, "critic_loss": 0.25}


def test_values_from_least_to_greatest():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"


def test_neighbours_are_averaged_where_there_are_many():
    assert sparkline([0, 0, 5, 9], width=2) == "▁█"
    assert len(sparkline(range(1000), width=24)) == 24


def test_values_that_do_not_differ_or_are_not_finite():
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([float("nan"), 1.0, float("inf"), 2.0]) == "▁█"
    assert sparkline([float("nan")]) == sparkline([]) == ""


def test_two_lines_of_what_the_rows_so_far_hold():
    sparklines = make_sparklines(Console(file=io.StringIO()))
    assert sparklines.text() == ""
    sparklines.write(
        [{"kind": "episode", "step": 200, "return": -5.0, "length": 200}, {"kind": "restart", "step": 200}]
    )
    assert sparklines.text() == "return ▁ -5.0"
    sparklines.write([UPDATE, UPDATE | {"q": -1.0}])
    assert sparklines.text() == "return ▁ -5.0\nQ ▁█ -1.0 (target -3.5)  critic loss ▁▁ 0.25"


def test_a_terminal_that_only_knows_ascii():
    sparklines = make_sparklines(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii")))
    sparklines.write([{"kind": "episode", "step": 200, "return": value} for value in (-1.0, 0.0)])
    assert sparklines.text() == f"return {ASCII_LEVELS[0]}{ASCII_LEVELS[-1]} 0.0"


def test_a_blank_one_stays_blank():
    NO_SPARKLINES.write([UPDATE])
    assert NO_SPARKLINES.text() == ""

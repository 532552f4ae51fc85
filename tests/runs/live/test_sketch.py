import io

from rich.console import Console

from ddpg_jax.runs.live.sketch import ASCII_LEVELS, BLANK, make_sketch, sparkline

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
    sketch = make_sketch(Console(file=io.StringIO()))
    assert sketch.text() == ""
    sketch.write([{"kind": "episode", "step": 200, "return": -5.0, "length": 200}, {"kind": "restart", "step": 200}])
    assert sketch.text() == "return ▁ -5"
    sketch.write([UPDATE, UPDATE | {"q": -1.0}])
    assert sketch.text() == "return ▁ -5\nQ ▁█ -1 (target -3.5)  critic loss ▁▁ 0.25"


def test_a_terminal_that_only_knows_ascii():
    sketch = make_sketch(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii")))
    sketch.write([{"kind": "episode", "step": 200, "return": value} for value in (-1.0, 0.0)])
    assert sketch.text() == f"return {ASCII_LEVELS[0]}{ASCII_LEVELS[-1]} 0"


def test_a_blank_one_stays_blank():
    BLANK.write([UPDATE])
    assert BLANK.text() == ""

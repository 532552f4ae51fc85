import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ddpg_jax.runs.report.series import (
    column,
    condense,
    curve,
    drop_unknown,
    most_extreme,
    moving_average,
    spread_curve,
    stretches,
)


def test_a_column_has_a_number_for_each_row_or_nan():
    rows = [{"q": 1}, {"q": 2.5}, {}, {"q": None}, {"q": float("inf")}]
    np.testing.assert_array_equal(column(rows, "q"), [1, 2.5, np.nan, np.nan, np.nan])
    strange = [*rows, {"q": [1, 2]}, {"q": {}}, {"q": "high"}, {"q": 10**400}]
    np.testing.assert_array_equal(column(strange, "q"), [1, 2.5, *[np.nan] * 7])
    assert column([], "q").shape == (0,)


def test_curves_leave_out_what_is_missing():
    rows = [{"step": 1, "q": 3}, {"step": 2}, {"q": 4}, {"step": 4, "q": 5}]
    found = curve(rows, "q")
    np.testing.assert_array_equal([found.x, found.y], [[1, 4], [3, 5]])
    lists = [{"step": 1, "returns": [1, 2, 6]}, {"step": 2, "returns": []}, {"step": 3, "returns": [4, None, "x"]}]
    found = spread_curve(lists, "returns")
    np.testing.assert_array_equal([found.x, found.y, found.low, found.high], [[1, 3], [3, 4], [1, 4], [6, 4]])


curves = arrays.arrays(np.float64, st.integers(1, 400), elements=st.floats(-1e6, 1e6))


@settings(max_examples=100, deadline=None)
@given(curves, st.integers(2, 60), st.integers(1, 60))
def test_condensing_keeps_every_extreme_and_the_mean(y, most, parts):
    whole = drop_unknown(np.arange(len(y)), y, y - 1, y + 1)
    found = condense(whole, most, parts)
    assert len(found.x) == (len(y) if len(y) <= most else min(parts, len(y)))
    assert found.rows == len(y)
    assert found.low.min() == whole.low.min()
    assert found.high.max() == whole.high.max()
    assert found.x[-1] == len(y) - 1
    assert (np.diff(found.x) > 0).all()
    if len(y) > most:
        ends = found.x.astype(int) + 1
        parts = np.split(y, ends[:-1])
        np.testing.assert_allclose(found.y, [part.mean() for part in parts], atol=1e-6)
        np.testing.assert_array_equal(found.low, [part.min() - 1 for part in parts])
        np.testing.assert_array_equal(found.high, [part.max() + 1 for part in parts])


def test_a_short_curve_stays_as_it_is():
    whole = drop_unknown(*np.arange(12.0).reshape(4, 3))
    assert condense(whole, 3) is whole


@pytest.mark.parametrize("count", [0, 3, 9, 10, 25])
def test_the_moving_average_is_of_the_ten_newest(count):
    y = np.random.default_rng(0).normal(size=count)
    found = moving_average(drop_unknown(np.arange(count), y, y, y))
    np.testing.assert_allclose(found.y, [y[last - 9 : last + 1].mean() for last in range(9, count)], atol=1e-12)
    np.testing.assert_array_equal(found.x, range(9, count))


def test_stretches_cover_everything_and_differ_by_one_at_most():
    for count, parts in ((10, 3), (7, 7), (5, 9), (1, 1)):
        lengths = np.diff(stretches(count, parts), append=count)
        assert lengths.sum() == count
        assert len(lengths) == min(count, parts)
        assert np.ptp(lengths) <= 1
    assert len(stretches(0, 3)) == 0


def test_the_most_extreme_of_each_stretch_and_column():
    values = np.array([[1, 5], [-3, 4], [2, 4.5], [0, 9]], float)
    found, last = most_extreme(values, 0.0, 2)
    np.testing.assert_array_equal(found, [[-3, 5], [2, 9]])
    np.testing.assert_array_equal(last, [1, 3])
    np.testing.assert_array_equal(most_extreme(values, 5.0, 2)[0], [[-3, 4], [0, 9]])
    np.testing.assert_array_equal(most_extreme(values, 0.0, 9)[0], values)

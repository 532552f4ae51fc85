"""One figure is one figure, wherever it is shown."""

import numpy as np
import pytest

from ddpg_jax.runs.console.formatting import format_duration, format_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-144.53, "-144.5"),
        (-1_200, "-1,200.0"),
        (9_999_999.0, "9,999,999.0"),
        (1e12, "1e+12"),
        (1.0, "1.0"),
        (0.61234, "0.612"),
        (-0.04, "-0.04"),
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (np.float32(93.66), "93.7"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_a_number(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00:00"),
        (15.4, "0:00:15"),
        (59.6, "0:01:00"),
        (3_725, "1:02:05"),
        (35_999.7, "10:00:00"),
        (90_000, "1 day, 1:00:00"),
        (float("inf"), "-:--:--"),
        (1e300, "-:--:--"),
    ],
)
def test_a_duration(seconds, text):
    assert format_duration(seconds) == text

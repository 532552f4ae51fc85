"""How many steps go into one call of a compiled program, so that Python has its turn about once a second."""

FIRST, SECONDS = 50, 1.0


def next_pace(pace: int, steps: int, seconds: float) -> int:
    """Steps of the next call: as many as take about a second, at most four times as many as now, at least one.

    The first call of a program also compiles it, so one slow call only halves the pace.

    Args:
        pace: steps that the last call was allowed.
        steps: that it took.
        seconds: that they lasted.
    """
    steps_in_time = SECONDS * steps / max(seconds, 1e-6)
    return max(1, int(min(max(steps_in_time, pace / 2), 4.0 * pace)))

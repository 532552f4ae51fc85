"""How many steps go into one call of a compiled program, so that Python has its turn about once a second."""

FIRST, SECONDS = 50, 1.0


def next_pace(steps: int, seconds: float) -> int:
    """Steps of the next call: as many as take about a second, at most four times as many as now, at least one.

    The first call of a program also compiles it, so one slow call only halves the pace.

    Args:
        steps: of the last call.
        seconds: that it took.
    """
    factor = SECONDS / max(seconds, 1e-6)
    return max(1, int(steps * min(max(factor, 0.5), 4.0)))

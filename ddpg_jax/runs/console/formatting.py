"""Figures as a person reads them: the same one looks the same on the progress line, the last line and in the report."""

import math
from datetime import timedelta


def format_number(value: float) -> str:
    """A return, or any other figure: one decimal; three digits where it is smaller than 1 or very large."""
    usual = value == 0 or 1 <= abs(value) < 1e7
    return f"{value + 0.0:,.1f}" if usual else f"{value:.3g}"


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds as h:mm:ss, with days before them where there are any."""
    return str(timedelta(seconds=round(seconds))) if math.isfinite(seconds) and seconds < 1e9 else "-:--:--"

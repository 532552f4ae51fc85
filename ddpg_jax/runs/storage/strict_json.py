"""JSON as its standard (RFC 8259) has it, which knows neither NaN nor infinity: a number that is not finite is null."""

import json
import math
from typing import Any


def dumps(value: Any, **options: Any) -> str:
    """The text of a value; options as of `json.dumps`."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        return json.dumps(with_nulls(value), allow_nan=False, **options)


def with_nulls(value: Any) -> Any:
    """The same value with None for each number that is not finite."""
    if isinstance(value, dict):
        return {key: with_nulls(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [with_nulls(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

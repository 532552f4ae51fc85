"""What a setting may be: the constraints of single fields, and the field that carries its own."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeAlias

Rule: TypeAlias = tuple[str, Callable[[Any], bool]]
# Of a whole section: what must hold, and `message(section, prefix)` where it does not.
Together: TypeAlias = tuple[tuple[Callable[[Any], bool], Callable[[Any, str], str]], ...]

POSITIVE: Rule = ("> 0", lambda v: 0 < v < math.inf)
NOT_NEGATIVE: Rule = (">= 0", lambda v: 0 <= v < math.inf)
AT_LEAST_ONE_OR_NONE: Rule = (">= 1, or None", lambda v: v is None or v >= 1)
POSITIVE_OR_NONE: Rule = ("> 0, or None", lambda v: v is None or 0 < v < math.inf)
NOT_NEGATIVE_OR_NONE: Rule = (">= 0, or None", lambda v: v is None or 0 <= v < math.inf)
FINITE: Rule = ("finite", lambda v: -math.inf < v < math.inf)
AT_LEAST_ONE: Rule = (">= 1", lambda v: v >= 1)
UNIT: Rule = ("in [0, 1]", lambda v: 0 <= v <= 1)
INT32_OR_NONE: Rule = ("in [1, 2147483647], or None", lambda v: v is None or 1 <= v < 2**31)
INT32: Rule = ("in [1, 2147483647]", lambda v: 1 <= v < 2**31)
SEED: Rule = ("in [0, 2147483647]", lambda v: 0 <= v < 2**31)
# What programs count and compute in: int32 and float32. No setting may be larger, whatever its own rule.
LARGEST: dict[type, float] = {int: 2**31 - 1, float: 3.4028234e38}


class ConfigError(ValueError):
    """Settings that cannot be used; the message has one line for each problem."""


def setting(default: Any, rule: Rule) -> Any:
    """A dataclass field with its constraint beside it."""
    return dataclasses.field(default=default, metadata={"rule": rule})

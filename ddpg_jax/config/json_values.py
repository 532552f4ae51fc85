"""Settings whose values are open: arguments of an environment or of a wrapper, as JSON has them."""

import json
from typing import Any

from ddpg_jax.config.rules import Rule


def is_json(value: Any) -> bool:
    """Whether a value comes back from JSON as it was: no tuple, no NaN, no number of another library."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def split_wrapper(text: str) -> tuple[str, dict[str, Any]]:
    """A wrapper's name, and the arguments that are written after it.

    Raises:
        ValueError: if there is no name, or the rest is no JSON object.
    """
    name, brace, rest = text.partition("{")
    arguments = json.loads(brace + rest) if brace else {}
    if not name.strip() or not is_json(arguments):
        raise ValueError(text)
    return name.strip(), arguments


def are_wrappers(texts: tuple[str, ...]) -> bool:
    """Whether each text is a name, with or without arguments."""
    try:
        return all(map(split_wrapper, texts))
    except (ValueError, RecursionError):
        return False


JSON_OBJECT: Rule = ("""a JSON object, such as {"g": 9.0}""", is_json)
WRAPPERS: Rule = (
    """names, each with its arguments as JSON, such as 'RescaleAction {"min_action": -1, "max_action": 1}'""",
    are_wrappers,
)

"""Flags whose value is a JSON object: given whole, or name by name, as `--env-kwargs.g 9.0`."""

import itertools
import json
from typing import Any

from ddpg_jax.config import ConfigError


def read_json(text: str) -> Any:
    """The value that a text is in JSON; what is none stays a text, as a name without quotes."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def join_names(flag: str, args: list[str]) -> list[str]:
    """Command-line words in which what was given name by name is one JSON object at the end.

    Args:
        flag: whose value is the object.
        args: as they were typed. Where the flag itself is among them, names are added to its value.

    Raises:
        ConfigError: if a name has no value, or the flag's own value is no JSON object.
    """
    given: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(args)
    for word in words:
        name, equals, text = word.partition("=")
        if not name.replace("_", "-").startswith(f"{flag}."):
            rest.append(word)
            continue
        value = text if equals else next(words, "--")
        if value.startswith("--"):
            raise ConfigError(f"option {name} needs a value")
        given[name[len(flag) + 1 :].replace("-", "_")] = read_json(value)
    if not given:
        return args
    whole = value_of(flag, rest)
    if not isinstance(whole, dict):
        raise ConfigError(f"option {flag} must be a JSON object, not {whole!r}")
    return [*rest, flag, json.dumps(whole | given)]


def value_of(flag: str, args: list[str]) -> Any:
    """What the last use of a flag gives, an empty object where it is not used."""
    text = "{}"
    for word, after in itertools.pairwise([*args, ""]):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == flag:
            text = value if equals else after
    return read_json(text)

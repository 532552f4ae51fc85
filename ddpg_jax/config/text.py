"""Values and names in messages."""

import difflib
import typing
from collections.abc import Iterable
from typing import Any, Literal

# Characters of a value that a message shows.
LONGEST_TEXT = 80


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?` for the closest known name, or all of them where none is close."""
    known = list(known)
    close = difflib.get_close_matches(name[:LONGEST_TEXT], known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def shown(value: Any) -> str:
    """A value as Python writes it, in one line and cut where it is long; it may come from a file."""
    text = repr(value)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."


def describe(hint: Any) -> str:
    """An annotated type as a reader would say it."""
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple and typing.get_origin(typing.get_args(hint)[0]) is Literal:
        return describe(typing.get_args(hint)[0]).replace("one of", "any of", 1)
    if typing.get_origin(hint) is dict:
        return """a JSON object, such as {"g": 9.0}"""
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)

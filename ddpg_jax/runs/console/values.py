"""Values of flags from text.

Text that is no value of its type stays text, so that `validate` names it as it names every other.
"""

import json
from typing import Any, Literal, get_args, get_origin

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from ddpg_jax.config import conforms
from ddpg_jax.runs.console.json_flags import read_json

AS_TYPED = ConstructorRegistry()


@AS_TYPED.primitive_rule
def as_typed(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """The rule of numbers and choices."""
    kind, choices = info.type, choices_of(info.type)
    if kind not in (int, float) and not choices:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar(kind),
        instance_from_str=lambda words: read(kind, words[0]),
        is_instance=lambda value: conforms(value, kind),
        str_from_instance=lambda value: [str(value)],
    )


@AS_TYPED.primitive_rule
def list_as_typed(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """The rule of several numbers or choices, with spaces or commas between."""
    kind, *more = get_args(info.type) or (None,)
    if info.type_origin is not tuple or more != [...] or not (kind in (int, float) or choices_of(kind)):
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"{metavar(kind)} ...",
        instance_from_str=lambda words: tuple(read(kind, part) for word in words for part in word.split(",")),
        is_instance=lambda value: conforms(value, info.type),
        str_from_instance=lambda values: [str(value) for value in values],
    )


@AS_TYPED.primitive_rule
def object_as_typed(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """The rule of JSON objects."""
    if info.type_origin is not dict:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON",
        instance_from_str=lambda words: read_json(words[0]),
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [json.dumps(value)],
    )


def choices_of(kind: Any) -> tuple[Any, ...]:
    """What a Literal allows, nothing for any other type."""
    return get_args(kind) if get_origin(kind) is Literal else ()


def metavar(kind: Any) -> str:
    """What stands for a value in the help."""
    return f"{{{','.join(choices_of(kind))}}}" if choices_of(kind) else kind.__name__.upper()


def read(kind: Any, word: str) -> Any:
    """A value of that type, or the word itself if it is none; `1e5` is a whole number, too."""
    if choices_of(kind):
        return word
    try:
        return whole(word) if kind is int and "e" in word.lower() else kind(word)
    except ValueError:
        return word


def whole(word: str) -> int | str:
    """A number with an exponent as an int, or the word itself if it is not whole."""
    value = float(word)
    return int(value) if value.is_integer() else word

"""Settings from nested plain values, as a run directory's JSON holds them."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from ddpg_jax.config.rules import ConfigError
from ddpg_jax.config.text import LONGEST_TEXT, nearest, shown

T = TypeVar("T")


def from_dict(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Build a settings dataclass from nested plain values, as read from JSON.

    Raises:
        ConfigError: for a name that is not a field, with the nearest one that is.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"settings must be given by name, not as {shown(values)}")
    hints = typing.get_type_hints(kind)
    parsed, found = {}, []
    for name, value in values.items():
        try:
            if name not in hints:
                text = name if name.isidentifier() and len(name) <= LONGEST_TEXT else shown(name)
                raise ConfigError(f"{prefix}{text} is no setting; {nearest(name, hints)}")
            parsed[name] = parse_field(hints[name], value, f"{prefix}{name}.")
        except ConfigError as error:
            found.append(str(error))
    if found:
        raise ConfigError("\n".join(found))
    return kind(**parsed)


def parse_field(hint: Any, value: Any, prefix: str) -> Any:
    """Nested mappings become sections, lists become tuples."""
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_dict(typing.cast(type, hint), value, prefix)
    return tuple(value) if isinstance(value, list) else value

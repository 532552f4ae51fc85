"""Settings as flat names and values, for tables and for telling runs apart."""

import dataclasses
import itertools
import json
from typing import Any

from ddpg_jax.config import Config


def flat_settings(config: Config) -> dict[str, Any]:
    """Every setting by the name of its flag, as `agent.tau`."""
    arguments = tuple(f"{name} = {json.dumps(value)}" for name, value in sorted(config.env_kwargs.items()))
    return flatten(dataclasses.asdict(config) | {"env_kwargs": arguments})


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested names joined by dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def differing(many: list[dict[str, Any]]) -> list[str]:
    """Names of the settings that are not the same in all of them."""
    names = dict.fromkeys(itertools.chain.from_iterable(many))
    return [name for name in names if any(each.get(name) != many[0].get(name) for each in many)]


def shown(value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, float):
        return f"{value:.10g}"
    if not isinstance(value, tuple):
        return str(value)
    between = " x " if all(isinstance(item, int) for item in value) else ", "
    return between.join(map(shown, value)) or "none"

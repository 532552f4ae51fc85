"""Whether settings can be used: every problem is found at once, before anything is compiled or written."""

import dataclasses
import types
import typing
from typing import Any, Literal, TypeVar

from ddpg_jax.config import agent, exploration, replay, run, train
from ddpg_jax.config.rules import LARGEST, ConfigError, Rule, Together
from ddpg_jax.config.text import describe, nearest, shown

T = TypeVar("T")

TOGETHER: dict[type, Together] = {
    agent.DDPGConfig: agent.TOGETHER,
    exploration.ExplorationConfig: exploration.TOGETHER,
    replay.ReplayConfig: replay.TOGETHER,
    run.Config: run.TOGETHER,
    train.TrainConfig: train.TOGETHER,
}


def validate(config: T) -> T:
    """Return the settings unchanged if every value can be used.

    Args:
        config: a `Config` or any section of one.

    Raises:
        ConfigError: naming each field, its value and what is allowed, one line each.
    """
    found = problems(config)
    if found:
        raise ConfigError("\n".join(found))
    return config


def problems(config: Any, prefix: str = "") -> list[str]:
    """Every problem of one section and of those inside it, one line each."""
    hints = typing.get_type_hints(type(config))
    found: list[str | None] = []
    for field in dataclasses.fields(config):
        name, value = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(hints[field.name]) and isinstance(value, hints[field.name]):
            found += problems(value, name + ".")
        else:
            found.append(field_problem(name, value, hints[field.name], field.metadata.get("rule")))
    broken = [problem for problem in found if problem]
    if not broken:
        broken = [message(config, prefix) for fits, message in TOGETHER.get(type(config), ()) if not fits(config)]
    return broken


def field_problem(name: str, value: Any, hint: Any, rule: Rule | None) -> str | None:
    """What is wrong with one value, in one line, or None."""
    if not conforms(value, hint):
        choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
        hint_text = f"; {nearest(value, choices)}" if choices and isinstance(value, str) else ""
        return f"{name} = {shown(value)} must be {describe(hint)}{hint_text}"
    if rule and not rule[1](value):
        return f"{name} = {shown(value)} must be {rule[0]}"
    largest = too_large(value, hint)
    return f"{name} = {shown(value)} must be at most {largest}" if largest else None


def conforms(value: Any, hint: Any) -> bool:
    """Whether a plain value is of an annotated type; an int is a fine float, a bool is neither."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in args
    if origin is types.UnionType:
        return any(conforms(value, arg) for arg in args)
    if origin is tuple:
        return isinstance(value, tuple) and all(conforms(item, args[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def too_large(value: Any, hint: Any) -> float | None:
    """What a number, or one in a tuple, must not exceed and does; None where all is well."""
    numbers = value if isinstance(value, tuple) else (value,)
    exact = hint is int or int in typing.get_args(hint)
    largest = LARGEST[int if exact else float]
    return largest if any(isinstance(number, int | float) and number > largest for number in numbers) else None

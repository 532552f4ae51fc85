"""Flags of the command line, read from the settings dataclasses."""

import argparse
import dataclasses
import difflib
from collections.abc import Callable, Iterator
from typing import Any

import tyro

from ddpg_jax.config import Config, ConfigError
from ddpg_jax.presets import preset_for


def chosen_preset(args: list[str]) -> str:
    """The preset named by `--preset`, or the one for `--env`; needed before the settings can be parsed."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, prog="ddpg-jax train")
    parser.add_argument("--preset")
    parser.add_argument("--env", default=Config().env)
    found, _ = parser.parse_known_args(args)
    return found.preset or preset_for(found.env)


def parse(options: Callable[..., Any], command: str, args: list[str]) -> Any:
    """Parse a command's options and call `options` with them.

    Raises:
        ConfigError: for an option that does not exist, with the nearest one that does.
    """
    result, unknown = tyro.cli(options, args=args, prog=f"ddpg-jax {command}", return_unknown_args=True)
    if unknown:
        name = unknown[0].split("=")[0]
        known = list(flags(command))
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        remedy = f"did you mean {close[0]}?" if close else f"see ddpg-jax {command} --help"
        raise ConfigError(f"option {name} is unknown; {remedy}")
    return result


def flags(command: str) -> Iterator[str]:
    """Names of a command's flags."""
    if command == "train":
        yield from ("--preset", "--run-dir", *section_flags(Config()))
    if command == "evaluate":
        yield from ("--episodes", "--seed")


def section_flags(section: Any, prefix: str = "--") -> Iterator[str]:
    """Flags of a settings dataclass, nested ones joined by a dot."""
    for field in dataclasses.fields(section):
        value, name = getattr(section, field.name), prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from section_flags(value, name + ".")
        else:
            yield name

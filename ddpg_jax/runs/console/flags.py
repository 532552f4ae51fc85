"""Flags of the command line, read from the settings dataclasses."""

import argparse
import dataclasses
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args

import tyro

from ddpg_jax.config import Config, ConfigError
from ddpg_jax.envs import import_modules, resolve
from ddpg_jax.presets import preset_for
from ddpg_jax.runs.console.help import show_help
from ddpg_jax.runs.console.hints import remedy
from ddpg_jax.runs.console.json_flags import join_names
from ddpg_jax.runs.console.values import AS_TYPED

# Modules and files that a person names on a command line: `--import MODULE`, once for each.
Imports = Annotated[
    tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="import", metavar="MODULE", help_behavior_hint="")
]
# Code of a run that has to be named again.
EnvAgain = Annotated[str | None, tyro.conf.arg(name="env", metavar="FILE.py:CLASS", help_behavior_hint="")]
WrappersAgain = Annotated[
    tuple[str, ...], tyro.conf.arg(name="wrappers", metavar="[FILE.py:CLASS ...]", help_behavior_hint="")
]


def chosen_preset(args: list[str]) -> str:
    """The preset named by `--preset`, or the one for `--env`; needed before the settings can be parsed.

    Raises:
        EnvError: if a module that registers the environment cannot be imported.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, prog="ddpg-jax train")
    # One that lacks its value is left for `parse` to refuse.
    parser.add_argument("--preset", nargs="?")
    parser.add_argument("--env", nargs="?", default=Config().env, const=Config().env)
    parser.add_argument("--import", dest="imports", nargs="?", action="append", default=[])
    found, _ = parser.parse_known_args(args)
    if found.preset is not None:
        return found.preset
    import_modules(filter(None, found.imports))
    return preset_for(resolve(found.env))


def parse(options: Callable[..., Any], command: str, args: list[str]) -> Any:
    """Parse a command's options and call `options` with them.

    A value of a wrong type is handed on as it was typed, so that `validate` names it as it names every other.

    Args:
        options: its parameters are the options; those without a default are positional, and a settings dataclass
            stands for all of its fields.
        command: its name.
        args: as they were typed.

    Raises:
        ConfigError: for each option that does not exist, with the nearest one that does, or has no value.
    """
    defaults = dict(flags(options))
    known, switches = list(defaults), [flag for flag, default in defaults.items() if isinstance(default, bool)]
    for flag in (flag for flag, default in defaults.items() if isinstance(default, dict)):
        args = join_names(flag, args)
    check_given([flag for flag in known if flag not in switches], command, args)
    show_help(options, command, args)
    try:
        result, unknown = tyro.cli(
            options, args=args, return_unknown_args=True, registry=AS_TYPED, console_outputs=False
        )
    except SystemExit:
        raise ConfigError(f"{command} needs a run directory; see ddpg-jax {command} --help") from None
    names = [arg.split("=")[0] for arg in unknown if re.match("--?[A-Za-z]", arg)] or unknown[:1]
    if names:
        raise ConfigError("\n".join(f"option {name} is unknown; {remedy(name, known, command)}" for name in names))
    return result


def check_given(valued: list[str], command: str, args: list[str]) -> None:
    """Raise ConfigError for each option that needs a value and is given without one."""
    followed = itertools.zip_longest(args, args[1:], fillvalue="--")
    bare = [option for option, value in followed if option.replace("_", "-") in valued and value.startswith("--")]
    if bare:
        raise ConfigError("\n".join(f"option {option} needs a value; see ddpg-jax {command} --help" for option in bare))


def flags(options: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Names of a command's flags, with their defaults; those whose default is True or False take no value."""
    for name, parameter in inspect.signature(options).parameters.items():
        if dataclasses.is_dataclass(parameter.default):
            yield from section_flags(parameter.default)
        elif parameter.default is not inspect.Parameter.empty:
            yield "--" + typed_name(name, parameter.annotation).replace("_", "-"), parameter.default


def typed_name(name: str, annotation: Any) -> str:
    """The name of a parameter's flag: its own, unless its annotation gives it another."""
    given = [getattr(extra, "name", None) for extra in get_args(annotation)[1:]]
    return next(filter(None, given), name)


def section_flags(section: Any, prefix: str = "--") -> Iterator[tuple[str, Any]]:
    """Flags of a settings dataclass, nested ones joined by a dot."""
    for field in dataclasses.fields(section):
        value, name = getattr(section, field.name), prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from section_flags(value, name + ".")
        else:
            yield name, value

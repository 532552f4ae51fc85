"""Code that a person names on a command line: imported there and then, and named again for every command on the run.

A run's file mentions it, too, but what a file says is data.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ddpg_jax.config import Config, ConfigError, shown, split_wrapper
from ddpg_jax.envs import import_modules, module_of, resolve
from ddpg_jax.envs.own_code import NAMED, name_code, names_code, same_code
from ddpg_jax.envs.protocol import EnvError

# Ids whose arguments name a module, which is then imported; shimmy registers them.
ADAPTERS = ("GymV21Environment-v0", "GymV26Environment-v0")


class Named(NamedTuple):
    """What a person names on a command line.

    Attributes:
        imports: modules and files, which register environments.
        env: the environment, None where it is left out.
        wrappers: around it, with or without arguments.
    """

    imports: tuple[str, ...] = ()
    env: str | None = None
    wrappers: tuple[str, ...] = ()


NOTHING = Named()


def import_named(named: Named) -> Named:
    """Import all of it; the environment becomes the registered id or the name of code, its module one of the imports.

    Raises:
        EnvError: if something cannot be imported.
    """
    import_modules(named.imports)
    for wrapper in filter(names_code, map(wrapper_name, named.wrappers)):
        try:
            name_code(wrapper)
        except EnvError as error:
            raise EnvError(f"wrapper {wrapper!r} cannot be made: {error}") from error
    if named.env is None:
        return named
    known = resolve(named.env)
    module = "" if known in NAMED else module_of(named.env)
    return named._replace(env=known, imports=tuple(dict.fromkeys(filter(None, [*named.imports, module]))))


def wrapper_name(wrapper: str) -> str:
    """The name of a wrapper, without its arguments; what is no wrapper is left to who checks the settings."""
    try:
        return split_wrapper(wrapper)[0]
    except ValueError:
        return ""


def with_names(config: Config, named: Named) -> Config:
    """The settings of a run with the names by which a person finds its code now, say of a file that was moved.

    Args:
        config: as they were stored.
        named: as `import_named` has it.

    Raises:
        ConfigError: if the person names something that the run does not have.
    """
    if named.env is not None and same_code(named.env, config.env):
        config = replace(config, env=named.env)
    elif named.env not in (None, config.env):
        raise ConfigError(f"the run was trained in {shown(config.env)}, not in {shown(named.env)}; leave --env out")
    wrappers = list(config.wrappers)
    for name in map(wrapper_name, named.wrappers):
        places = [index for index, wrapper in enumerate(wrappers) if is_same(wrapper_name(wrapper), name)]
        if not places:
            raise ConfigError(f"the run has no wrapper {shown(name)}; its wrappers are {list(config.wrappers)}")
        for index in places:
            wrappers[index] = wrappers[index].replace(wrapper_name(wrappers[index]), name, 1)
    return replace(config, wrappers=tuple(wrappers))


def is_same(one: str, other: str) -> bool:
    """Whether two wrappers' names mean the same."""
    return one == other or same_code(one, other)


def code_of(config: Config) -> Named:
    """The code that a run's settings name."""
    wrappers = tuple(dict.fromkeys(filter(names_code, map(wrapper_name, config.wrappers))))
    return Named((), config.env if names_code(config.env) or config.env in ADAPTERS else None, wrappers)


def unknown_code(config: Config, named: Named) -> list[str]:
    """Names of code in a run's settings that no person has named."""
    code = code_of(config)
    return [name for name in (code.env, *code.wrappers) if name and name not in NAMED and name != named.env]


def flags(named: Named) -> list[str]:
    """Words of a command line that name all of it again."""
    env: Iterable[str] = () if named.env is None else ("--env", named.env)
    wrappers = ("--wrappers", *named.wrappers) if named.wrappers else ()
    return [*(word for module in named.imports for word in ("--import", module)), *env, *wrappers]

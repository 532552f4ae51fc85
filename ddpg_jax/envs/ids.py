"""Ids of environments: which are known here, and which one a person means by what was typed.

An id from a file is data: it is looked up, and nothing that it names is imported. A module that a person names on a
command line is imported, since that is what was asked for.
"""

import contextlib
import os
import pkgutil
import sys
from collections.abc import Iterable

from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.envs.suites import find_suite, load


def is_own(env_id: str) -> bool:
    """Whether an id is of a suite whose environments Gymnasium does not make."""
    suite = find_suite(env_id)
    return suite is not None and not suite.registers


def module_of(env_id: str) -> str:
    """The module that an id like `module:Name-v0` names; empty where it names none."""
    return "" if is_own(env_id) else env_id.rpartition(":")[0]


def register_suite(env_id: str) -> None:
    """Let Gymnasium know the environments of the suite that an unknown id looks like one of.

    Raises:
        EnvError: if its package is not installed.
    """
    from gymnasium.envs.registration import registry

    suite = find_suite(env_id)
    if suite and suite.registers and env_id not in registry:
        load(suite, env_id)


def import_modules(modules: Iterable[str]) -> None:
    """Import modules that a person named, so that they register their environments.

    They are looked for where Python looks, and then in the current directory, as `python -m` does.

    Raises:
        EnvError: naming the one that cannot be imported, and why.
    """
    for module in modules:
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            # What follows the colon is nothing: with it, a dotted name is never taken for an attribute.
            pkgutil.resolve_name(f"{module}:")
        except (Exception, SystemExit) as error:
            raise EnvError(f"module {module!r} cannot be imported: {reason(module, error)}") from error


def reason(module: str, error: BaseException) -> str:
    """Why a module cannot be imported, in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if not isinstance(error, ModuleNotFoundError) or error.name not in {module, module.partition(".")[0]}:
        return text
    return f"{text}; name it as Python's import does, its folder here or in PYTHONPATH"


def resolve(env_id: str) -> str:
    """The registered id that a person means: of `module:Name` the name, its module imported; of `Name` the newest.

    Raises:
        EnvError: if its module cannot be imported.
    """
    module = module_of(env_id)
    if module:
        try:
            import_modules([module])
        except EnvError as error:
            raise EnvError(f"environment {env_id!r} cannot be made: {error}") from error
    return newest(env_id.removeprefix(f"{module}:") if module else env_id)


def newest(env_id: str) -> str:
    """An id with the newest version that is registered, as Gymnasium takes it where the version is left out.

    Ids that have a version, or of which none is registered, come back as they are; nothing that they name is imported.
    """
    if is_own(env_id):
        return env_id
    import gymnasium
    from gymnasium.envs.registration import find_highest_version, get_env_id, parse_env_id

    with contextlib.suppress(EnvError):  # its package is missing, and so is the id
        register_suite(env_id)
    try:
        namespace, name, version = parse_env_id(env_id)
    except gymnasium.error.Error:
        return env_id
    highest = find_highest_version(namespace, name) if version is None else None
    return env_id if highest is None else get_env_id(namespace, name, highest)


def package_of(env_id: str) -> str:
    """The extra of this package whose environments an id looks like one of, empty if there is none."""
    suite = find_suite(env_id)
    return suite.extra if suite else ""


def registered(env_id: str) -> bool:
    """Whether an id names an environment that is installed here, so that making it imports no module the id names.

    Gymnasium imports, and so runs, the module of an id like `module:Name-v0`.
    """
    from gymnasium.envs.registration import registry

    suite = find_suite(env_id)
    try:
        if suite and not suite.registers:
            return suite.name(env_id) in load(suite, env_id).names()
        register_suite(env_id)
    except EnvError:  # its package is missing, and so is the id
        return False
    return ":" not in env_id and env_id in registry

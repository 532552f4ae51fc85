"""Ids of environments: which are known here, and which one a person means by what was typed.

An id from a file is data: it is looked up, and nothing that it names is imported. A module that a person names on a
command line is imported, since that is what was asked for.
"""

import contextlib

from ddpg_jax.envs.own_code import NAMED, find_code, import_place, is_file, name_code, names_code
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


def resolve(env_id: str) -> str:
    """The environment that a person means: the registered id of `Name` or `module:Name`, or the name of code.

    The module or file that it names is imported; a class or function in it can then be looked up (`own_code`).

    Raises:
        EnvError: if it cannot be imported, or has no such class or function.
    """
    module = module_of(env_id)
    if is_file(env_id) or (is_file(module) and env_id == f"{module}:"):
        raise EnvError(f"environment {env_id!r} cannot be made: name a class or function in it, as FILE.py:CLASS")
    if not module:
        return newest(env_id)
    try:
        import_place(module)
        known = newest(env_id.removeprefix(f"{module}:"))
        if not names_code(env_id) or is_id(known, find_code(env_id)):
            return known
        name_code(env_id)
    except EnvError as error:
        raise EnvError(f"environment {env_id!r} cannot be made: {error}") from error
    return env_id


def is_id(known: str, code: object) -> bool:
    """Whether a name without its version means a registered id, and not a class or function of that very name.

    Args:
        known: the newest id of that name.
        code: the class or function, None if there is none. It may be what the id stands for.
    """
    from gymnasium.envs.registration import registry

    if known not in registry:
        return False
    if code is None:
        return True
    name = f"{getattr(code, '__module__', '')}:{getattr(code, '__qualname__', '')}"
    return registry[known].entry_point in (code, name)


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
    """Whether an id names an environment that is known here, so that making it imports no module the id names.

    Gymnasium imports, and so runs, the module of an id like `module:Name-v0`.
    """
    if env_id in NAMED:
        return True
    from gymnasium.envs.registration import registry

    suite = find_suite(env_id)
    try:
        if suite and not suite.registers:
            return suite.name(env_id) in load(suite, env_id).names()
        register_suite(env_id)
    except EnvError:  # its package is missing, and so is the id
        return False
    return ":" not in env_id and env_id in registry

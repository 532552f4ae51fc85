"""Code of a person's own that makes environments: imported where a person names it, and then looked up by that name.

A name is `FILE.py:NAME` or `MODULE:NAME`, of a class or a function. Names in a file of a run are data, as ids are: what
they stand for is looked up in `NAMED`, as an id is in Gymnasium's registry, and nothing is imported.
"""

import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from ddpg_jax.config import nearest
from ddpg_jax.envs.protocol import EnvError

# Classes and functions that were named in this process.
NAMED: dict[str, Callable[..., Any]] = {}
FILE = ".py"


def is_file(name: str) -> bool:
    """Whether a name is that of a file of Python."""
    return name.endswith(FILE) and name.isprintable() and ":" not in name


def is_place(name: Any) -> bool:
    """Whether this can be the name of a module, as `package.module`, or of a file of Python."""
    if not isinstance(name, str):
        return False
    return is_file(name) or all(part.isidentifier() for part in name.split("."))


def names_code(name: str) -> bool:
    """Whether a name has the form of a class or function in a file or module; `module:Id-v0` has not."""
    place, _, code = name.rpartition(":")
    return is_place(place) and all(part.isidentifier() for part in code.split("."))


def same_code(one: str, other: str) -> bool:
    """Whether two names stand for the same code, wherever its file lies."""
    return all(map(names_code, (one, other))) and Path(one).name == Path(other).name


def import_modules(places: Iterable[str]) -> None:
    """Import modules or files that a person named, so that they register their environments.

    Raises:
        EnvError: naming the one that cannot be imported, and why.
    """
    for place in places:
        import_place(place)


def import_place(place: str) -> ModuleType:
    """Import a module, which is looked for where Python looks and then in the current directory, or a file.

    Raises:
        EnvError: if it cannot be imported, saying why.
    """
    kind = "file" if is_file(place) else "module"
    importlib.invalidate_caches()  # it may have been written a moment ago
    search(os.getcwd())
    try:
        name = module_of_file(Path(place)) if kind == "file" else place
        # What follows the colon is nothing: with it, a dotted name is never taken for an attribute.
        module: ModuleType = pkgutil.resolve_name(f"{name}:")
    except EnvError:
        raise
    except (Exception, SystemExit) as error:
        raise EnvError(f"{kind} {place!r} cannot be imported: {reason(place, error)}") from error
    return module


def search(folder: str) -> None:
    """Let Python look in a folder, too, after all others."""
    if folder not in sys.path:
        sys.path.append(folder)


def module_of_file(file: Path) -> str:
    """The name under which a file is imported; its folder is then one where Python looks, as if the file was run.

    Raises:
        EnvError: if there is no such file, or its name belongs to another module.
    """
    if not file.is_file():
        raise EnvError(f"file {str(file)!r} does not exist (the current directory is {Path.cwd()})")
    if not file.stem.isidentifier():
        raise EnvError(f"file {str(file)!r} cannot be imported: name it with letters, digits and underscores alone")
    search(str(file.resolve().parent))
    try:
        found = getattr(importlib.util.find_spec(file.stem), "origin", None)
    except ValueError:  # of what has no origin, as __main__
        found = None
    if found is None or not (os.path.exists(found) and file.samefile(found)):
        raise EnvError(
            f"file {str(file)!r} cannot be imported: {file.stem!r} is another module ({found}); rename the file"
        )
    return file.stem


def reason(module: str, error: BaseException) -> str:
    """Why a module cannot be imported, in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if not isinstance(error, ModuleNotFoundError) or error.name not in {module, module.partition(".")[0]}:
        return text
    return f"{text}; name it as Python's import does, its folder here or in PYTHONPATH"


def find_code(name: str) -> Any:
    """What a person's name stands for, its module imported; None if the module has nothing of that name.

    Raises:
        EnvError: if its module or file cannot be imported.
    """
    place, _, code = name.rpartition(":")
    try:
        return pkgutil.resolve_name(f"{import_place(place).__name__}:{code}")
    except AttributeError:
        return None


def name_code(name: str) -> None:
    """Import what a person names, and keep it to be looked up.

    Raises:
        EnvError: if there is no such class or function.
    """
    found = find_code(name)
    place, _, code = name.rpartition(":")
    if found is None:
        raise EnvError(f"{place} has no {code}; {known_in(import_place(place), code)}")
    if not callable(found):
        raise EnvError(f"{code} of {place} is a {type(found).__name__}; name a class, or a function that makes one")
    NAMED[name] = found


def known_in(module: ModuleType, code: str) -> str:
    """The nearest class or function that a module defines, or all of them."""
    own = [
        name
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__
    ]
    return nearest(code, own) if own else "it defines no class and no function"


def look_up(name: str) -> Callable[..., Any]:
    """The class or function of a name that a person gave before.

    Raises:
        EnvError: if nobody did; a file may have said it, so nothing is imported.
    """
    if name not in NAMED:
        raise EnvError(
            f"{name!r} is code, which is imported only where a person names it: in Python, give the class or function "
            "itself, or ask ddpg_jax.envs.resolve for the name first"
        )
    return NAMED[name]

"""The run directory: settings, versions, metrics and checkpoints, as files anyone can read; one process writes it."""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import json
import os
import platform
import shlex
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import ddpg_jax
from ddpg_jax.config import GIVEN_ENV, Config, ConfigError, from_dict, shown, validate
from ddpg_jax.envs import module_of, newest, package_of, registered
from ddpg_jax.envs.own_code import is_place
from ddpg_jax.native import library
from ddpg_jax.presets import PRESETS
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.machine.processors import num_processors
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.named_code import NOTHING, Named, code_of, flags, unknown_code, with_names
from ddpg_jax.runs.storage.origin import Origin, read_origin
from ddpg_jax.runs.storage.strict_json import dumps

SETTINGS, METRICS, CHECKPOINTS, LOCK = "config.json", "metrics.jsonl", "checkpoints", "lock"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "gymnasium", "numpy")
# Refused before it is read; a real one has two thousand bytes.
LARGEST = 2**20


class Run(NamedTuple):
    """A run as found on disk.

    Attributes:
        path: its directory.
        config: its settings.
        versions: what it was made with, as `versions` has it.
        imports: modules that a person named, which registered its environment; data, like all of this.
        preset: the one that its settings began with, "" if there is none of that name here.
        origin: the run whose networks it began with, None if they were fresh.
    """

    path: Path
    config: Config
    versions: dict[str, Any]
    imports: tuple[str, ...] = ()
    preset: str = ""
    origin: Origin | None = None


def check_new(path: Path) -> Path:
    """Return a path where a run directory can be made; what is written to find out is removed.

    Raises:
        ConfigError: if there is something already, or it cannot be made there.
    """
    if os.path.lexists(path):
        raise ConfigError(
            f"run directory {path} exists; choose another --run-dir, or continue it: {command('resume', path)}"
        )
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()  # a name may be too long
        os.rmdir(tempfile.mkdtemp(dir=parent))
    except OSError as error:
        raise ConfigError(
            f"run directory {path} cannot be made: {parent}: {error.strerror}; choose another --run-dir"
        ) from None
    return path


def command(name: str, path: Path, imports: tuple[str, ...] = (), config: Config | None = None) -> str:
    """A command on a run as it is typed, with the modules that a person named and the code of its settings."""
    named = NOTHING if config is None else code_of(config)
    return shlex.join(["ddpg-jax", name, str(path), *flags(named._replace(imports=imports))])


def create_run(
    path: Path, config: Config, preset: str | None, imports: tuple[str, ...] = (), origin: Origin | None = None
) -> Path:
    """Make a new run directory and write its settings and versions.

    Args:
        path: of the directory.
        config: the settings.
        preset: the one they began with, None if they began with none.
        imports: modules that a person named, which registered its environment.
        origin: the run whose networks it begins with.

    Raises:
        ConfigError: if there is something at that path already, or it cannot be made.
    """
    check_new(path)
    written = {"config": dataclasses.asdict(config), "preset": preset, "imports": imports, "versions": versions()}
    if origin is not None:
        written["warm_start"] = origin._asdict()
    text = dumps(written, indent=1)
    # Under another name until it is whole: a directory without settings would be neither new nor a run.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.mkdir(parents=True)
        (unfinished / SETTINGS).write_text(text + "\n")
        unfinished.rename(path)
    except OSError as error:
        raise ConfigError(f"run directory {path} cannot be made: {error.strerror}; choose another --run-dir") from error
    fault_point("created")
    return path


def versions() -> dict[str, Any]:
    """What bits depend on: packages, whose kernels compute and where, the kind of random numbers, 64-bit mode."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "ddpg_jax": ddpg_jax.__version__,
        "python": platform.python_version(),
        **found,
        "kernels": library.name(),
        "backend": jax.default_backend(),
        "cores": num_processors(),
        "prng": str(jax.eval_shape(jax.random.key, 0).dtype),
        "x64": x64(),
    }


def x64() -> bool:
    """Whether JAX computes in its 64-bit mode."""
    return jnp.result_type(float) == jnp.float64


def read_run(path: Path, named: Named = NOTHING, name: str = "resume") -> Run:
    """Read a run whose environment is known here, trusting nothing in its files.

    Args:
        path: the run directory.
        named: what a person has named now, as `import_named` has it. An older file may name a module with the id, as
            in `module:Name-v0`.
        name: of the command, for messages.

    Raises:
        ConfigError: if there is no run there, its settings cannot be used, its environment is not registered here, or
            it needs code that nobody has named.
    """
    run = read_settings(path)
    if run.config.env == GIVEN_ENV:
        raise ConfigError(
            f"{path} was trained in an Env that was given from Python and has no id; open it there: "
            f"ddpg_jax.runs.resume({str(path)!r}, env=...), or load(...)"
        )
    env, module = run.config.env, module_of(run.config.env)
    known = newest(env.removeprefix(f"{module}:") if module in named.imports else env)
    try:
        config = with_names(dataclasses.replace(run.config, env=known), named)
    except ConfigError as error:
        raise ConfigError(f"{path / SETTINGS}: {error}") from None
    run = run._replace(config=config)
    check_known(run, named, name)
    return run


def check_known(run: Run, named: Named, name: str) -> None:
    """Find out whether the environment of a run, and all code that it needs, is known here.

    Args:
        run: as its file has it.
        named: what a person has named now.
        name: of the command, for messages.

    Raises:
        ConfigError: if it is not, with what to do; what the file says of modules and code is only shown.
    """
    file, config = run.path / SETTINGS, run.config
    unknown = unknown_code(config, named)
    if unknown:
        again = command(name, run.path, run.imports, config)
        names = ", ".join(map(shown, unknown))
        raise ConfigError(
            f"{file} names {names}, code that a file alone never lets run; if you trust it, with your other options: "
            f"{again}"
        )
    if not registered(config.env):
        raise ConfigError(
            f"{file} names the environment {shown(config.env)}, which is not registered here; an id from a file is "
            f"looked up and never imported: {remedy(run, name)}"
        )


def remedy(run: Run, name: str) -> str:
    """What to do where the environment of a run is not known: a package to install, or the command with its modules."""
    extra = package_of(run.config.env)
    if extra:
        return f"pip install 'ddpg_jax[{extra}]' has those of its family"
    module = module_of(run.config.env)
    modules = run.imports or ((module,) if is_place(module) else ("MODULE",))
    return f"if a module that you trust registers it: {command(name, run.path, modules, run.config)}"


def read_settings(path: Path) -> Run:
    """Read a run whose environment is not needed, trusting nothing in its files.

    Raises:
        ConfigError: if there is no run there, or its settings cannot be used.
    """
    file = path / SETTINGS
    try:
        if file.is_symlink() or file.stat().st_size > LARGEST:
            raise ConfigError(f"{file} is a link, or larger than {LARGEST:,} bytes; it is not read")
        values = json.loads(file.read_bytes())
        config = validate(from_dict(Config, values["config"]))
        imports, origin = read_imports(values.get("imports", [])), read_origin(values.get("warm_start"))
        preset = values["preset"] if values.get("preset") in PRESETS else ""
        return Run(path, config, dict(values.get("versions", {})), imports, preset, origin)
    except OSError:
        raise ConfigError(f"{path} holds no run: {file} cannot be read") from None
    except ConfigError as error:
        raise ConfigError("\n".join(f"{file}: {line}" for line in str(error).splitlines())) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(f"{file} is damaged; it must be the JSON that training wrote") from None


def write_settings(run: Run) -> None:
    """Write the settings of a run that goes on with others; the rest of its file stays.

    Raises:
        StorageError: if the disk does not take them.
    """
    file = run.path / SETTINGS
    kept = json.loads(file.read_bytes())
    text = json.dumps(kept | {"config": dataclasses.asdict(run.config)}, indent=1)
    if json.loads(text) == kept:
        return
    unfinished = file.with_name(f".{SETTINGS}.{os.getpid()}")
    try:
        unfinished.write_text(text + "\n")
        unfinished.replace(file)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}") from error


def read_imports(values: Any) -> tuple[str, ...]:
    """Names of modules and files from a file, which are only ever shown.

    Raises:
        ValueError: if they are none.
    """
    if not (isinstance(values, list) and all(map(is_place, values))):
        raise ValueError("no names of modules")
    return tuple(values)


def check_x64(run: Run) -> None:
    """Find out whether a run's arrays have the dtypes of this process, before anything is made of them.

    Raises:
        ConfigError: if the run was made in JAX's 64-bit mode and this process is not in it, or the other way round.
    """
    # Before it was written down, 64-bit mode could not train.
    made, now = bool(run.versions.get("x64", False)), x64()
    if made and not now:
        raise ConfigError(f"{run.path} was made with JAX_ENABLE_X64=1, which is not set now; set it for this command")
    if now and not made:
        raise ConfigError(f"{run.path} was made without JAX_ENABLE_X64, which is set now; JAX_ENABLE_X64=0 opens it")


def check_writable(path: Path) -> None:
    """Find out whether a run can go on where it is, before anything is imported for it.

    Raises:
        ConfigError: if its directory is there and cannot be written.
    """
    if path.is_dir() and not os.access(path, os.W_OK):
        raise ConfigError(f"{path} cannot be written; copy the run to a place that can")


@contextlib.contextmanager
def lock_run(path: Path) -> Iterator[None]:
    """Be the one process that writes a run directory.

    Raises:
        ConfigError: if another one is, naming it, or the directory cannot be written.
    """
    for name in (LOCK, METRICS, CHECKPOINTS):
        if (path / name).is_symlink():
            raise ConfigError(f"{path / name} is a link; it is not followed, put the files themselves there")
    try:
        file = (path / LOCK).open("a+")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; copy the run to a place that can") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise ConfigError(f"{path} is being written by {file.read().strip() or 'another process'}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
        yield

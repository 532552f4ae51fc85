"""The run directory: settings, versions, metrics and the final parameters, as files anyone can read."""

import dataclasses
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any, NamedTuple

import jax

import ddpg_jax
from ddpg_jax.agent.ddpg import Params
from ddpg_jax.config import Config, ConfigError, from_dict, validate

SETTINGS, METRICS, PARAMS = "config.json", "metrics.jsonl", "params"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "gymnasium", "numpy")


class Run(NamedTuple):
    """A run as found on disk."""

    path: Path
    config: Config


def create_run(path: Path, config: Config, preset: str) -> Path:
    """Make a new run directory and write its settings and versions.

    Raises:
        ConfigError: if there is something at that path already, or it cannot be made.
    """
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(f"run directory {path} exists; choose another --run-dir, or remove it") from None
    except OSError as error:
        raise ConfigError(f"run directory {path} cannot be made: {error.strerror}; choose another --run-dir") from None
    versions = {"ddpg_jax": ddpg_jax.__version__, "python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in PACKAGES}
    about = {"preset": preset, "versions": versions}
    text = json.dumps({"config": dataclasses.asdict(config), **about}, indent=1)
    (path / SETTINGS).write_text(text + "\n")
    return path


def read_run(path: Path) -> Run:
    """Read a run's settings.

    Raises:
        ConfigError: if there is no run there, or its settings cannot be used.
    """
    try:
        values = json.loads((path / SETTINGS).read_text())["config"]
    except OSError:
        raise ConfigError(f"{path} holds no run: {path / SETTINGS} cannot be read") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path / SETTINGS} is damaged; it must be the JSON that training wrote") from None
    return Run(path, validate(from_dict(Config, values)))


def save_params(path: Path, params: Params) -> None:
    """Write the parameters below a run directory, replacing none."""
    # Orbax takes a second to import; only saving and loading pay for it.
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((path / PARAMS).absolute(), params._asdict())


def load_params(path: Path, like: Params) -> Params:
    """Read the parameters of a run.

    Args:
        path: the run directory.
        like: parameters, or `jax.ShapeDtypeStruct`, of the shapes and dtypes that are expected.

    Raises:
        ConfigError: if there are none, or they do not fit.
    """
    import orbax.checkpoint as ocp

    if not (path / PARAMS).is_dir():
        raise ConfigError(f"{path} holds no parameters yet; they are written when training ends")
    target: Any = jax.tree.map(ocp.utils.to_shape_dtype_struct, like._asdict())
    with ocp.StandardCheckpointer() as checkpointer:
        try:
            return Params(**checkpointer.restore((path / PARAMS).absolute(), target))
        except (ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"{path / PARAMS} does not fit the settings beside it: {reason}") from error

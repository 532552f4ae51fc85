"""The formats by name, and which of them can be written here."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ddpg_jax.config import ConfigError, DDPGConfig, nearest
from ddpg_jax.runs.export import archive, onnx_graph, stablehlo
from ddpg_jax.runs.export.layers import policy_layers
from ddpg_jax.runs.export.spaces import Spaces
from ddpg_jax.runs.policy import Policy
from ddpg_jax.types import Tree


class Format(NamedTuple):
    """One kind of file that a policy is written to.

    Attributes:
        files: what it writes.
        packages: what writing and checking it needs, beside what the package itself does.
        write: `write(folder, policy, config, spaces)`.
        load: `load(folder) -> act(obs [B, *obs shape], or a dict of such) -> action [B, *action shape]`, from what was
            written.
    """

    files: tuple[str, ...]
    packages: tuple[str, ...]
    write: Callable[[Path, Policy, DDPGConfig, Spaces], None]
    load: Callable[[Path], Callable[[Tree], np.ndarray]]


FORMATS = {
    "stablehlo": Format(
        (stablehlo.FILE,),
        ("flatbuffers",),
        lambda folder, policy, config, spaces: stablehlo.write(folder, policy, spaces),
        stablehlo.load,
    ),
    "numpy": Format(
        (archive.FILE, archive.LOADER),
        (),
        lambda folder, policy, config, spaces: archive.write(folder, policy_layers(policy, config), spaces),
        archive.load,
    ),
    "onnx": Format(
        (onnx_graph.FILE,),
        ("onnx", "onnxruntime"),
        lambda folder, policy, config, spaces: onnx_graph.write(folder, policy_layers(policy, config), spaces),
        onnx_graph.load,
    ),
}


def missing(name: str) -> list[str]:
    """Packages of a format that are not installed."""
    return [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]


def choose_formats(names: tuple[str, ...], print_line: Callable[[str], None]) -> tuple[str, ...]:
    """The formats that are asked for, or all that can be written here.

    Args:
        names: asked for; empty for all.
        print_line: called with a line for each that is left out.

    Raises:
        ConfigError: for each name that is no format, and each asked for whose packages are missing.
    """
    wrong = [f"format {name!r} is unknown; {nearest(name, FORMATS)}" for name in names if name not in FORMATS]
    if wrong:
        raise ConfigError("\n".join(wrong))
    lacking = {
        name: f"{name} needs {' and '.join(missing(name))}: pip install 'ddpg_jax[export]'"
        for name in dict.fromkeys(names or FORMATS)
        if missing(name)
    }
    if names and lacking:
        raise ConfigError("\n".join(f"format {line}" for line in lacking.values()))
    for line in lacking.values():
        print_line(f"left out: {line}")
    return tuple(name for name in FORMATS if name in (names or FORMATS) and name not in lacking)

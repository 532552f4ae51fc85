"""Writing a policy in several formats, each of them compared with the agent before it counts."""

import importlib.metadata
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ddpg_jax.action_bounds import scale_action
from ddpg_jax.config import ConfigError, DDPGConfig
from ddpg_jax.runs.console.errors import NumericalError, StorageError
from ddpg_jax.runs.export.formats import FORMATS
from ddpg_jax.runs.export.observations import draw_seen
from ddpg_jax.runs.export.spaces import Spaces
from ddpg_jax.runs.policy import Policy
from ddpg_jax.runs.storage.directory import versions
from ddpg_jax.runs.storage.strict_json import dumps
from ddpg_jax.types import Tree

ABOUT = "policy.json"
# What may be replaced; the one that vouches for the others comes first.
OURS = (ABOUT, *(file for format in FORMATS.values() for file in format.files))
OBSERVATIONS, TOLERANCE = 10_000, 1e-5
# Numbers of observations that are held at once, so that pictures fit in memory.
CHUNK = 10_000_000


def export_policy(
    policy: Policy, config: DDPGConfig, env_id: str, spaces: Spaces, formats: Sequence[str], output: Path
) -> dict[str, float]:
    """Write a policy, check what was written, and only then put it in its place.

    Args:
        policy: the greedy policy; one with a network of your own goes out as "stablehlo" only.
        config: the settings of its networks.
        env_id: of its environment.
        spaces: of its environment, as `read_spaces` reads them.
        formats: names in `FORMATS`.
        output: the folder; of one that exists, files of ours are replaced.

    Returns:
        The greatest difference of each format from the agent, in units of half the action range.

    Raises:
        ConfigError: if the folder cannot be used, or a format cannot hold this network.
        StorageError: if the disk does not take it, or a format differs from the agent by more than 1e-5.
        NumericalError: if the agent's own actions are not finite.
    """
    place = check_output(output)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=place) as name:
            folder = Path(name)
            for format in formats:
                FORMATS[format].write(folder, policy, config, spaces)
            found = greatest_differences({format: FORMATS[format].load(folder) for format in formats}, policy, spaces)
            check_differences(found)
            about = describe(policy, env_id, spaces, found)
            (folder / ABOUT).write_text(dumps(about, indent=1) + "\n")
            publish(folder, output)
    except OSError as error:
        raise StorageError(f"{output} cannot be written: {error.strerror}") from error
    return found


def check_output(output: Path) -> Path:
    """The nearest folder to an output that exists: itself, or one above it.

    Raises:
        ConfigError: if no folder can be there, or what is there cannot be written.
    """
    if output.is_symlink():
        raise ConfigError(f"output {output} is a link; name the folder itself")
    place = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ConfigError(f"output {output} cannot be a folder: {place} is a file; choose another --output")
    try:
        tempfile.TemporaryDirectory(dir=place).cleanup()
    except OSError as error:
        raise ConfigError(f"output {output} cannot be written: {error.strerror}; choose another --output") from None
    return place


def greatest_differences(
    acts: dict[str, Callable[[Tree], np.ndarray]], policy: Policy, spaces: Spaces
) -> dict[str, float]:
    """How far from the agent's actions others are, on 10,000 random observations, in units of half the action range."""
    half = spaces.spec.action_scale
    agent, rng = jax.jit(policy.agent.act), np.random.default_rng(0)
    size = max(1, CHUNK // sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(spaces.spec.obs)))
    found = dict.fromkeys(acts, 0.0)
    for begin in range(0, OBSERVATIONS, size):
        obs = draw_seen(rng, policy.params, spaces, min(size, OBSERVATIONS - begin))
        action = np.asarray(scale_action(agent(policy.params, obs), spaces.spec), float)
        if not np.isfinite(action).all():
            raise NumericalError(
                f"the policy after {policy.step:,} steps gives actions that are not finite; nothing was written: "
                "train it anew with a lower agent.actor_lr"
            )
        for name, act in acts.items():
            difference = np.asarray(act(obs), float).reshape(action.shape) - action
            found[name] = float(np.maximum(found[name], np.abs(difference / half).max()))
    return found


def check_differences(found: dict[str, float]) -> None:
    """Raise StorageError for each format that is not what the agent does; a difference may be nan."""
    wrong = [
        f"the policy written as {name} differs from the agent by up to {difference:.1e} of half the action range, and "
        f"{TOLERANCE:g} is allowed; nothing was written: choose --formats without it"
        for name, difference in found.items()
        if not difference <= TOLERANCE
    ]
    if wrong:
        raise StorageError("\n".join(wrong))


def describe(policy: Policy, env_id: str, spaces: Spaces, found: dict[str, float]) -> dict[str, Any]:
    """What stands in `policy.json`."""
    spec = spaces.spec
    packages = {package for name in found for package in FORMATS[name].packages}
    return {
        "environment": env_id,
        "step": policy.step,
        "observation": jax.tree.map(describe_leaf, spec.obs, spaces.obs_dtype),
        "action": {
            "shape": list(spaces.action_shape),
            "dtype": spaces.action_dtype.name,
            "low": spec.action_low.reshape(spaces.action_shape).tolist(),
            "high": spec.action_high.reshape(spaces.action_shape).tolist(),
        },
        "files": {name: list(FORMATS[name].files) for name in found},
        "greatest_difference": found,
        "observations_compared": OBSERVATIONS,
        "versions": versions() | {package: importlib.metadata.version(package) for package in sorted(packages)},
    }


def describe_leaf(leaf: jax.ShapeDtypeStruct, dtype: np.dtype) -> dict[str, Any]:
    """What stands there of an observation, or of each leaf of a Dict."""
    return {"shape": list(leaf.shape), "dtype": np.dtype(leaf.dtype).name, "environment_dtype": dtype.name}


def publish(folder: Path, output: Path) -> None:
    """Move what was written to its place, instead of what an earlier export put there."""
    output.mkdir(parents=True, exist_ok=True)
    for name in OURS:
        (output / name).unlink(missing_ok=True)
    for name in reversed(OURS):
        if (folder / name).exists():
            (folder / name).replace(output / name)

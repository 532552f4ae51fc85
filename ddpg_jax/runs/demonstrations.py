"""Demonstrations from a file of arrays, or from a Minari data set."""

import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.config import ConfigError
from ddpg_jax.replay.demonstrations import make_demonstrations
from ddpg_jax.types import EnvSpec, Transition, named_leaves

MINARI = "minari:"


def read_demonstrations(source: str, spec: EnvSpec) -> Transition:
    """Transitions `[T, ...]` from where they are kept.

    Args:
        source: an `.npz` file with the arrays of `make_demonstrations`, or `minari:` and the id of a data set that
            is on this machine.
        spec: the environment's spaces.

    Raises:
        ConfigError: if there is none, or if it does not fit the environment.
    """
    arrays = read_minari(source.removeprefix(MINARI)) if source.startswith(MINARI) else read_archive(Path(source))
    return make_demonstrations(arrays, spec)


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file; those that would need pickle are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = "it is no such file" if not path.is_file() else str(error).splitlines()[0]
        raise ConfigError(
            f"demonstrations = {str(path)!r} cannot be read as an .npz file of numbers: {reason}; write one with "
            f"numpy.savez, or name a Minari data set as {MINARI}ID"
        ) from error


def read_minari(dataset: str) -> dict[str, np.ndarray]:
    """The episodes of a Minari data set, one after the other.

    Raises:
        ConfigError: if Minari or the data set is not installed.
    """
    if importlib.util.find_spec("minari") is None:
        raise ConfigError(f"demonstrations = {MINARI + dataset!r} needs Minari: pip install 'ddpg_jax[minari]'")
    import minari

    try:
        episodes = [episode_arrays(episode) for episode in minari.load_dataset(dataset)]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"demonstrations = {MINARI + dataset!r} cannot be read: {str(error).splitlines()[0]}; get it with "
            f"`minari download {dataset}`, and see `minari list local`"
        ) from error
    if not episodes:
        raise ConfigError(f"demonstrations = {MINARI + dataset!r} holds no episode")
    return {name: np.concatenate([episode[name] for episode in episodes]) for name in episodes[0]}


def episode_arrays(episode: Any) -> dict[str, np.ndarray]:
    """One episode of Minari's, which keeps one observation more than steps; it ends, if only by being cut."""
    arrays = named_leaves({"obs": episode.observations})
    steps = {name: array[:-1] for name, array in arrays.items()}
    steps |= {f"next_{name}": array[1:] for name, array in arrays.items()}
    steps |= {"action": episode.actions, "reward": episode.rewards, "terminated": episode.terminations}
    truncated = np.array(episode.truncations)
    truncated[-1:] |= ~episode.terminations[-1:]
    return steps | {"truncated": truncated}

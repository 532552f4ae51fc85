"""Demonstrations from a file of arrays, or from a Minari data set."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.config import ConfigError, shown
from ddpg_jax.envs.gymnasium.spaces import one_line
from ddpg_jax.envs.protocol import bounds_problem
from ddpg_jax.replay.demonstrations import make_demonstrations
from ddpg_jax.runs.console.errors import first_line
from ddpg_jax.types import EnvSpec, Transition, named_leaves

MINARI = "minari:"
# No dots: an id is no path.
DATASET = re.compile(r"[\w-]+(/[\w-]+)*-v\d+", re.ASCII)


def read_demonstrations(source: str, spec: EnvSpec) -> Transition:
    """Transitions `[T, ...]` from where they are kept.

    Args:
        source: an `.npz` file with the arrays of `make_demonstrations`, or `minari:` and the id of a data set that
            is on this machine.
        spec: the environment's spaces.

    Raises:
        ConfigError: if there is none, or if it does not fit the environment.
    """
    if not source.startswith(MINARI):
        return make_demonstrations(read_archive(Path(source)), spec)
    arrays, action_space = read_minari(source.removeprefix(MINARI))
    return make_demonstrations(arrays, with_bounds_of(action_space, spec, source))


def with_bounds_of(space: Any, spec: EnvSpec, source: str) -> EnvSpec:
    """An environment's spaces with the action bounds of a data set, which may have been recorded in another unit.

    A wrapper such as RescaleAction gives an environment an action space of its own. What lies on the bounds of the one
    lies on those of the other: a = (a_data - bias_data) / scale_data, in [-1, 1].

    Raises:
        ConfigError: if its actions are no such numbers.
    """
    low, high = (np.ravel(getattr(space, bound, ())).astype(float) for bound in ("low", "high"))
    if low.size != spec.action_dim:
        problem = f"which must be a Box with as many numbers as the environment's, {spec.action_dim}"
    elif bounds_problem(low, high):
        problem = "whose bounds must be finite, with low < high, to be mapped to the environment's"
    else:
        return spec._replace(action_low=low, action_high=high)
    raise ConfigError(
        f"demonstrations = {shown(source)} were recorded with the action space {one_line(space)}, {problem}; record "
        "them without the wrapper that changes actions, or give them in the environment's unit in an .npz file"
    )


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file; those that would need pickle are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # a damaged archive can raise anything
        reason = first_line(error) if path.is_file() else "it is no such file"
        raise ConfigError(
            f"demonstrations = {str(path)!r} cannot be read as an .npz file of numbers: {reason}; write one with "
            f"numpy.savez, or name a Minari data set as {MINARI}ID"
        ) from error


def read_minari(dataset: str) -> tuple[dict[str, np.ndarray], Any]:
    """The episodes of a Minari data set, one after the other, and its action space; those without a step are left out.

    Raises:
        ConfigError: if Minari or the data set is not installed, or it is not what Minari writes.
    """
    given = f"demonstrations = {shown(MINARI + dataset)}"
    if not DATASET.fullmatch(dataset):
        raise ConfigError(f"{given} names no data set; ids are NAMESPACE/NAME-vN, see `minari list local`")
    if importlib.util.find_spec("minari") is None:
        raise ConfigError(f"{given} needs Minari: pip install 'ddpg_jax[minari]'")
    import minari
    from minari.storage.datasets_root_dir import get_dataset_path

    try:
        check_metadata(get_dataset_path(dataset) / "data" / "metadata.json")
        found = minari.load_dataset(dataset)
        episodes = [episode_arrays(episode) for episode in found if len(episode.rewards)]
        arrays = {name: np.concatenate([episode[name] for episode in episodes]) for name in episodes[0]}
        return arrays, found.action_space
    except FileNotFoundError as error:
        raise ConfigError(f"{given} is not on this machine; get it with `minari download {dataset}`") from error
    except Exception as error:  # a damaged data set can raise anything
        raise ConfigError(f"{given} cannot be read: {first_line(error)}; try `minari show {dataset}`") from error


def check_metadata(path: Path) -> None:
    """Raise ValueError if a data set does not say its spaces: Minari would then make whatever environment it names."""
    metadata = json.loads(path.read_bytes())
    if not all(isinstance(metadata.get(space), str) for space in ("observation_space", "action_space")):
        raise ValueError("its metadata do not say its spaces")


def episode_arrays(episode: Any) -> dict[str, np.ndarray]:
    """One episode of Minari's, which keeps one observation more than steps; it ends, if only by being cut."""
    arrays = named_leaves({"obs": episode.observations})
    steps = {name: array[:-1] for name, array in arrays.items()}
    steps |= {f"next_{name}": array[1:] for name, array in arrays.items()}
    steps |= {"action": episode.actions, "reward": episode.rewards, "terminated": episode.terminations}
    truncated = np.array(episode.truncations)
    truncated[-1] = truncated[-1] or not episode.terminations[-1]
    return steps | {"truncated": truncated}

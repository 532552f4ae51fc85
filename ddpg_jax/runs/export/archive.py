"""A policy as a NumPy archive, beside a loader of forty lines that needs nothing else."""

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ddpg_jax.runs.export import load_policy
from ddpg_jax.runs.export.layers import Layer
from ddpg_jax.runs.export.spaces import Spaces
from ddpg_jax.types import Tree, named_leaves

FILE, LOADER = "policy.npz", "load_policy.py"


def write(folder: Path, layers: tuple[Layer, ...], spaces: Spaces) -> None:
    """Write the arrays and the loader.

    The archive holds `layers`, a line for each, its kind and the names of its arrays ("affine 0.kernel 0.bias"); these
    arrays; and zeros of the shape and dtype of one action and one observation, "obs", or of each leaf of it, such as
    "obs.achieved_goal", in the order in which they are joined.
    """
    lines, arrays = [], {}
    for index, layer in enumerate(layers):
        own = {f"{index}.{name}": array.astype(np.float32) for name, array in layer.arrays.items()}
        lines.append(" ".join([layer.kind, *own]))
        arrays.update(own)
    leaves = named_leaves({"obs": spaces.spec.obs})
    obs = {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in leaves.items()}
    action = np.zeros(spaces.action_shape, spaces.action_dtype)
    np.savez(folder / FILE, allow_pickle=False, layers=np.array(lines), action=action, **obs, **arrays)
    (folder / LOADER).write_text(inspect.getsource(load_policy))


def load(folder: Path) -> Callable[[Tree], np.ndarray]:
    """What is in the archive, as a function."""
    return load_policy.load_policy(str(folder / FILE))

"""Checkpoints of a whole run: Orbax under a manifest, each in a folder of its own, never over an older one.

`checkpoints/000007-step12000/` holds `state/` (every array of the runner), `host.bin` (what environments keep
outside of it) and the manifest. It has this name only when it is complete; before, it ends in `.partial`.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.runs.console.errors import StorageError, first_line
from ddpg_jax.runs.storage.arrays import check_header, handler, write_state
from ddpg_jax.runs.storage.directory import CHECKPOINTS
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.manifest import flush, read_manifest, write_manifest
from ddpg_jax.types import Tree, named_leaves

STATE, HOST = "state", "host.bin"
PARTIAL, DAMAGED = ".partial", ".damaged"
# What the headers and the manifest may take.
MARGIN = 2**20


class Checkpoint(NamedTuple):
    """A checkpoint whose every byte has been checked.

    Attributes:
        path: its folder.
        step: environment steps at which it was taken.
        progress: what the driver put beside the arrays.
        arrays: shape and dtype of each, by name.
    """

    path: Path
    step: int
    progress: dict[str, Any]
    arrays: dict[str, Any]


def save(run: Path, step: int, tree: Tree, host: bytes, progress: dict[str, Any], keep: int) -> Path:
    """Write a checkpoint, check it, and only then remove those beyond the newest `keep`.

    Args:
        run: the run directory.
        step: environment steps so far.
        tree: arrays.
        host: what the environments hold outside of the arrays.
        progress: JSON to keep beside them.
        keep: checkpoints that stay.

    Raises:
        StorageError: with the bytes needed and free; the checkpoints before stay as they are.
    """
    folder = run / CHECKPOINTS
    serial = 1 + max((int(path.name.split("-")[0]) for path in folder.glob("[0-9]*-step*")), default=0)
    path = write(folder / f"{serial:06d}-step{step}", step, tree, host, progress)
    fault_point("pruning")
    for old in complete(folder)[:-keep]:
        remove(old)
    fault_point("pruned")
    return path


def write(path: Path, step: int, tree: Tree, host: bytes, progress: dict[str, Any]) -> Path:
    """Write one checkpoint and check it; its folder has its name only when all of it is there.

    Args:
        path: of the folder, which is not there yet.
        step: environment steps so far.
        tree: arrays.
        host: what the environments hold outside of the arrays.
        progress: JSON to keep beside them.

    Raises:
        StorageError: with the bytes needed and free; nothing of it is left.
    """
    partial = path.with_name(path.name + PARTIAL)
    arrays = {name: leaf for name, leaf in named_leaves(tree).items() if leaf.size}  # Orbax takes no empty ones
    needed = sum(leaf.nbytes for leaf in arrays.values()) + len(host) + MARGIN
    try:
        partial.mkdir(parents=True)
        check_free_space(partial, needed)
        fault_point("saving")
        write_state(partial / STATE, arrays)
        (partial / HOST).write_bytes(host)
        fault_point("state-saved")
        about = {name: {"shape": leaf.shape, "dtype": leaf.dtype.name} for name, leaf in arrays.items()}
        write_manifest(partial, {"step": step, "progress": progress, "arrays": about})
        fault_point("manifest-saved")
        partial.rename(path)
        flush(path.parent)
        fault_point("saved")
        read_manifest(path)
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise failed_save(path, needed, error) from error
    return path


def check_free_space(folder: Path, needed: int) -> None:
    """Find out before anything is written; what Orbax says about a full disk is long."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failed_save(path: Path, needed: int, error: Exception) -> StorageError:
    """What a failed save says: the cause, and the bytes needed and free."""
    parent = next(folder for folder in path.parents if folder.is_dir())
    free = shutil.disk_usage(parent).free
    reason = error.strerror if isinstance(error, OSError) else first_line(error)
    return StorageError(
        f"checkpoint {path} cannot be written: {reason}; it needs up to {needed:,} bytes, and {free:,} are free; "
        "the checkpoint before it is untouched"
    )


def newest(run: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is as it was written, or None if none was ever completed.

    Args:
        run: the run directory, which is only read.
        warn: called with one line for each newer one that is damaged.

    Raises:
        StorageError: if there are checkpoints and none is whole.
    """
    paths = complete(run / CHECKPOINTS)
    reasons = []
    for path in reversed(paths):
        try:
            found = read_checkpoint(path)
        except StorageError as error:
            if path.exists():  # else it was pruned meanwhile, by the process that writes
                reasons.append(str(error))
            continue
        for reason in reasons:
            warn(f"a newer checkpoint is damaged: {reason}; going on from {path.name}")
        return found
    if reasons:
        raise StorageError(f"every checkpoint in {run / CHECKPOINTS} is damaged: " + "; ".join(reasons))
    return newest(run, warn) if paths else None


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint whose manifest vouches for it.

    Raises:
        StorageError: if it does not, or says too little.
    """
    manifest = read_manifest(path)
    step, progress, arrays = (manifest.get(name) for name in ("step", "progress", "arrays"))
    if not isinstance(step, int) or not isinstance(progress, dict) or not isinstance(arrays, dict):
        raise StorageError(f"{path} has a manifest without step, progress or arrays")
    return Checkpoint(path, step, progress, arrays)


def evaluation_of(found: Checkpoint) -> float | None:
    """Mean return of the evaluation that was made at the step of a checkpoint, None if there was none."""
    value = found.progress.get("evaluation")
    return value if found.progress.get("evaluated") == found.step and isinstance(value, float) else None


def read(find: Callable[[], Checkpoint], like: Tree, prefix: str) -> tuple[Checkpoint, Tree]:
    """`restore` of a checkpoint in a run that another process may be writing, and pruning, meanwhile.

    Args:
        find: finds the checkpoint, again where it was removed while it was read.
        like: as of `restore`.
        prefix: as of `restore`.

    Raises:
        StorageError: if it is not whole, or does not fit.
    """
    found = find()
    try:
        return found, restore(found, like, prefix)
    except (OSError, StorageError):
        if found.path.exists():
            raise
        return read(find, like, prefix)


def restore(checkpoint: Checkpoint, like: Tree, prefix: str = "") -> Tree:
    """Read the arrays of a checkpoint.

    Args:
        checkpoint: as `newest` found it.
        like: tree of `jax.ShapeDtypeStruct`, what the settings ask for.
        prefix: where `like` lies in the tree that was saved, "agent.params." for one.

    Raises:
        StorageError: naming the first array whose shape or dtype is another, before any memory is allocated.
    """
    expected = {prefix + name: leaf for name, leaf in named_leaves(like).items()}
    stored = {name: leaf for name, leaf in expected.items() if leaf.size}
    for name, leaf in stored.items():
        check_header(checkpoint.path / STATE, name, leaf)
    arrays = handler().restore(checkpoint.path / STATE, stored)
    leaves = [arrays[name] if name in stored else jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in expected.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def clean(run: Path) -> None:
    """Remove what killed processes left unfinished."""
    for path in (run / CHECKPOINTS).glob("*" + PARTIAL):
        shutil.rmtree(path, ignore_errors=True)


def set_aside(checkpoint: Checkpoint) -> None:
    """Rename every checkpoint newer than this one, so that it counts no more and nothing of it is lost."""
    for path in complete(checkpoint.path.parent):
        if path.name > checkpoint.path.name:
            path.rename(path.with_name(path.name + DAMAGED))


def remove(path: Path) -> None:
    """Remove a checkpoint; renamed first, so that a kill leaves no half of one."""
    renamed = path.with_name(path.name + PARTIAL)
    path.rename(renamed)
    shutil.rmtree(renamed)


def complete(folder: Path) -> list[Path]:
    """Checkpoints that were completed, oldest first."""
    paths = folder.glob("[0-9]*-step*") if folder.is_dir() else []
    return sorted(path for path in paths if step_text(path).isdecimal())


def step_of(path: Path) -> int:
    """Environment steps at which a checkpoint was taken, by its name."""
    return int(step_text(path))


def step_text(path: Path) -> str:
    """What a folder's name says of its step."""
    return path.name.rpartition("-step")[2]

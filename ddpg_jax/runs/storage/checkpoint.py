"""Checkpoints of a whole run: Orbax under a manifest, each in a folder of its own, never over an older one.

`checkpoints/000007-step12000/` holds `state/` (every array of the runner), `host.bin` (what environments keep
outside of it) and the manifest. It has this name only when it is complete; before, it ends in `.partial`.
"""

import errno
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.runs.console.errors import StorageError, first_line
from ddpg_jax.runs.machine.heap import return_freed_blocks
from ddpg_jax.runs.storage.directory import CHECKPOINTS
from ddpg_jax.runs.storage.fault_points import fault_point
from ddpg_jax.runs.storage.manifest import flush, read_manifest, write_manifest
from ddpg_jax.types import Tree, named_leaves

STATE, HOST = "state", "host.bin"
PARTIAL, DAMAGED = ".partial", ".damaged"
HEADER_BYTES = 2**16
# What the headers and the manifest may take.
MARGIN = 2**20


class Checkpoint(NamedTuple):
    """A checkpoint whose every byte has been checked.

    Attributes:
        path: its folder.
        step: environment steps at which it was taken.
        progress: what the driver put beside the arrays.
    """

    path: Path
    step: int
    progress: dict[str, Any]


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
    path = folder / f"{serial:06d}-step{step}"
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
        flush(folder)
        fault_point("saved")
        read_manifest(path)
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise failed_save(path, needed, error) from error
    fault_point("pruning")
    prune(folder, keep)
    fault_point("pruned")
    return path


def check_free_space(folder: Path, needed: int) -> None:
    """Find out before anything is written; what Orbax says about a full disk is long."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_state(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays with Orbax, each as a zarr folder of its own, and see that none is missing."""
    with return_freed_blocks():
        handler().save(path.absolute(), arrays)
    for name in arrays:
        header(path, name)


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
    step, progress = manifest.get("step"), manifest.get("progress")
    if not isinstance(step, int) or not isinstance(progress, dict):
        raise StorageError(f"{path} has a manifest without step or progress")
    return Checkpoint(path, step, progress)


def read_newest(run: Path, like: Tree, prefix: str, warn: Callable[[str], None]) -> tuple[Checkpoint, Tree]:
    """`newest` and `restore` of a run that another process may be writing, and pruning, meanwhile.

    Raises:
        StorageError: if there is no checkpoint, or none that is whole and fits.
    """
    found = newest(run, warn)
    if found is None:
        raise StorageError(f"{run} holds no checkpoint")
    try:
        return found, restore(found, like, prefix)
    except (OSError, StorageError):
        if found.path.exists():
            raise
        return read_newest(run, like, prefix, warn)


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


def check_header(state: Path, name: str, leaf: Any) -> None:
    """Compare an array's header with what is expected; a chunk may not be larger than the array."""
    found = header(state, name)
    try:
        shape, chunks, dtype = tuple(found["shape"]), tuple(map(int, found["chunks"])), np.dtype(found["dtype"])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{state / name} has a header that is none of zarr's") from error
    if (shape, dtype) != (tuple(leaf.shape), leaf.dtype):
        raise StorageError(
            f"{state / name} holds {dtype.name}{list(shape)}, and the settings beside it ask for "
            f"{leaf.dtype.name}{list(leaf.shape)}"
        )
    if math.prod(chunks) > max(1, math.prod(shape)):
        raise StorageError(f"{state / name} has chunks of {list(chunks)} for an array of {list(shape)}")


def header(state: Path, name: str) -> dict[str, Any]:
    """The zarr header of one array."""
    path = state / name / ".zarray"
    # The manifest vouches for every file that was written.
    if not path.is_file():
        raise StorageError(
            f"{state} holds no array {name}, as it would if this version of ddpg_jax had written it; go on with the "
            "version that the run's config.json names, or train anew"
        )
    if path.stat().st_size > HEADER_BYTES:
        raise StorageError(f"{path} is larger than {HEADER_BYTES:,} bytes")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is no zarr header") from error


def clean(run: Path) -> None:
    """Remove what killed processes left unfinished."""
    for path in (run / CHECKPOINTS).glob("*" + PARTIAL):
        shutil.rmtree(path, ignore_errors=True)


def set_aside(checkpoint: Checkpoint) -> None:
    """Rename every checkpoint newer than this one, so that it counts no more and nothing of it is lost."""
    for path in complete(checkpoint.path.parent):
        if path.name > checkpoint.path.name:
            path.rename(path.with_name(path.name + DAMAGED))


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest checkpoints; renamed first, so that a kill leaves no half of one."""
    for path in complete(folder)[:-keep]:
        renamed = path.with_name(path.name + PARTIAL)
        path.rename(renamed)
        shutil.rmtree(renamed)


def complete(folder: Path) -> list[Path]:
    """Checkpoints that were completed, oldest first."""
    paths = folder.glob("[0-9]*-step*") if folder.is_dir() else []
    return sorted(path for path in paths if path.name.rsplit("-step", 1)[1].isdecimal())


class Handler(NamedTuple):
    """Orbax, synchronous: `save(path, arrays)` and `restore(path, like)`."""

    save: Callable[[Path, dict[str, Any]], None]
    restore: Callable[[Path, dict[str, Any]], dict[str, Any]]


def handler() -> Handler:
    """Orbax with a zarr folder for each array, whose headers can be read before anything is allocated."""
    # Imported where needed: it takes half a second.
    import orbax.checkpoint as ocp
    import tensorstore

    one_by_one = tensorstore.Context({"file_io_concurrency": {"limit": 1}, "data_copy_concurrency": {"limit": 1}})

    class OneByOne(ocp.type_handlers.ArrayHandler):
        """Arrays one after the other: each of the threads that write 128 at once would keep memory for ever."""

        async def serialize(self, values: Sequence[Any], infos: Sequence[Any], args: Any = None) -> Any:
            for info in infos:
                info.ts_context = one_by_one
            return await super().serialize(values, infos, args)

    def make() -> Any:
        kinds = (jax.Array, OneByOne()), (np.ndarray, ocp.type_handlers.NumpyHandler())
        registry = ocp.type_handlers.create_type_handler_registry(*kinds)
        return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False, type_handler_registry=registry))

    def save(path: Path, arrays: dict[str, Any]) -> None:
        # It warns that it does not find the format that it was told not to write, and its threads say at length
        # what the exception says.
        for name in ("absl", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        with make() as checkpointer:
            checkpointer.save(path, ocp.args.PyTreeSave(arrays))

    def restore(path: Path, like: dict[str, Any]) -> dict[str, Any]:
        sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        item = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding) for name, leaf in like.items()}
        args = ocp.checkpoint_utils.construct_restore_args(item)
        with make() as checkpointer:
            return checkpointer.restore(
                path.absolute(), ocp.args.PyTreeRestore(item, restore_args=args, partial_restore=True)
            )

    return Handler(save, restore)

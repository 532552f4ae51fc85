"""Arrays in files, by Orbax: each a zarr folder whose header is read before anything is allocated."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.machine.heap import return_freed_blocks

# A header that is larger is refused before it is read.
HEADER_BYTES = 2**16


def write_state(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays with Orbax, each as a zarr folder of its own, and see that none is missing."""
    with return_freed_blocks():
        handler().save(path.absolute(), arrays)
    for name in arrays:
        header(path, name)


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

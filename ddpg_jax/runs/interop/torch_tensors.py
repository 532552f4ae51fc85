"""The tensors of a file that `torch.save` wrote, read without PyTorch and without running anything in it.

Such a file is a zip archive: `<folder>/data.pkl` is a program that builds a dict of tensors (torch_program.py), each a
view of a storage `<folder>/data/<key>`. Every size is held against the file before anything is read, and nothing is
extracted to disk.
"""

import io
import math
import zipfile
import zlib
from typing import Any

import numpy as np

from ddpg_jax.config import ConfigError, shown
from ddpg_jax.runs.interop.torch_program import Storage, Tensor, interpret

# Bytes of the program; that of ten thousand tensors is half of it.
LARGEST_PROGRAM = 4_000_000
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
BYTE_ORDERS = {b"little": "<", b"big": ">"}


def read_tensors(file: bytes) -> dict[str, np.ndarray]:
    """Read a dict of tensors, such as a module's `state_dict()`.

    Args:
        file: all of it, as `torch.save` writes since PyTorch 1.6.

    Returns:
        Each tensor by its name, a read-only view of what was read, in the byte order of the file.

    Raises:
        ConfigError: if the file is damaged, or holds anything but plain tensors.
    """
    archive = open_archive(io.BytesIO(file))
    programs = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise ConfigError(f"holds {len(programs)} files data.pkl, not one; PyTorch writes one since version 1.6")
    folder = programs[0].removesuffix("data.pkl")
    tensors = interpret(read_member(archive, programs[0], LARGEST_PROGRAM))
    storages = {tensor.storage for tensor in tensors.values()}
    if sum(map(num_bytes, storages)) > len(file):
        raise ConfigError(f"claims more numbers than a file of {len(file)} bytes can hold")
    order = byte_order(archive, folder + "byteorder")
    held = {storage: read_storage(archive, folder, storage) for storage in storages}
    return {name: view(name, tensor, held[tensor.storage], order) for name, tensor in tensors.items()}


def open_archive(file: Any) -> zipfile.ZipFile:
    """A zip archive for reading, from a path or an open file.

    Raises:
        ConfigError: if it cannot be read, or is none.
    """
    try:
        return zipfile.ZipFile(file)
    except DAMAGED as error:
        raise ConfigError(f"cannot be read as a zip archive: {error}") from None


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """All of one member, in memory.

    Raises:
        ConfigError: if there is none, it is larger than `most` bytes, or it is damaged.
    """
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ConfigError(f"holds no {shown(name)}") from None
    if info.file_size > most:
        raise ConfigError(f"{shown(name)} has {info.file_size} bytes, more than the {most} it may have")
    try:
        with archive.open(info) as member:
            content = member.read(info.file_size)
    except DAMAGED as error:
        raise ConfigError(f"{shown(name)} is damaged: {error}") from None
    if len(content) != info.file_size:
        raise ConfigError(f"{shown(name)} is damaged: it ends after {len(content)} of {info.file_size} bytes")
    return content


def byte_order(archive: zipfile.ZipFile, name: str) -> str:
    """Byte order of the numbers, "<" or ">"; older files do not say, and are little-endian."""
    if name not in archive.namelist():
        return "<"
    said = read_member(archive, name, 16)
    if said not in BYTE_ORDERS:
        raise ConfigError(f"has the unknown byte order {shown(said)}; known are little and big")
    return BYTE_ORDERS[said]


def num_bytes(storage: Storage) -> int:
    """Size of a storage in the file."""
    return storage.size * np.dtype(storage.dtype).itemsize


def read_storage(archive: zipfile.ZipFile, folder: str, storage: Storage) -> bytes:
    """The bytes of a storage, as many as it says."""
    name, expected = f"{folder}data/{storage.key}", num_bytes(storage)
    content = read_member(archive, name, expected)
    if len(content) != expected:
        raise ConfigError(f"{shown(name)} has {len(content)} bytes, not {expected}")
    return content


def view(name: str, tensor: Tensor, content: bytes, order: str) -> np.ndarray:
    """A tensor as an array on the bytes of its storage."""
    storage, offset, shape, strides = tensor
    dtype = np.dtype(order + storage.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if not 0 < math.prod(shape) <= storage.size or last >= storage.size:
        raise ConfigError(f"{shown(name)} of shape {shape} does not fit its storage of {storage.size} numbers")
    return np.ndarray(shape, dtype, content, offset * dtype.itemsize, [stride * dtype.itemsize for stride in strides])

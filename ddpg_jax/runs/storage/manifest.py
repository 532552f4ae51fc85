"""A folder that can vouch for itself: the size and sha256 of each of its files, written last.

A folder whose manifest is missing, or differs in one byte from what was written, does not count.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage.strict_json import with_nulls

MANIFEST = "manifest.json"
FORMAT = 1
# Refused before it is read; a real one has a few hundred bytes for each array.
LARGEST = 16 * 2**20


def write_manifest(folder: Path, about: dict[str, Any]) -> None:
    """Flush every file of a folder to the disk, then list them all in its manifest.

    Args:
        folder: holds nothing but what it shall hold.
        about: what else to remember, as JSON.

    Raises:
        OSError: if the disk does not take it.
    """
    files = {}
    for name in sorted(regular_files(folder)):
        path = folder / name
        flush(path)
        files[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    for part in [path for path in folder.rglob("*") if path.is_dir()]:
        flush(part)
    (folder / MANIFEST).write_text(dumps({"format": FORMAT, "files": files, **about}))
    flush(folder / MANIFEST)
    flush(folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Check every byte of a folder against its manifest, and return the manifest.

    Raises:
        StorageError: naming the first thing that is not as it was written.
    """
    try:
        return check(folder)
    except OSError as error:
        raise StorageError(f"{error.filename or folder}: {error.strerror}") from error
    except (KeyError, TypeError, AttributeError) as error:  # intact, and written by something else
        raise StorageError(f"{folder / MANIFEST} is no manifest of a checkpoint") from error


def check(folder: Path) -> dict[str, Any]:
    """`read_manifest`, with the errors of the file system as they come."""
    present = regular_files(folder)
    manifest = loads(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise StorageError(
            f"{folder / MANIFEST} has the format {manifest.get('format')!r}; this version reads {FORMAT}"
        )
    listed = manifest["files"]
    # Compared as sets, so a listed name that leads out of the folder ("..", "/") is found missing, not followed.
    for name in sorted(present ^ {MANIFEST, *listed}):
        raise StorageError(f"{folder / name} is {'not listed' if name in present else 'missing'}")
    for name, entry in listed.items():
        size = (folder / name).stat().st_size
        if size != entry["bytes"]:
            raise StorageError(f"{folder / name} has {size:,} bytes, not {entry['bytes']:,}")
        if sha256_of(folder / name) != entry["sha256"]:
            raise StorageError(f"{folder / name} is not what was written (its sha256 differs)")
    return manifest


def regular_files(folder: Path) -> set[str]:
    """Names of all files of a folder, relative to it.

    Raises:
        StorageError: for anything that is neither file nor folder, and for links, which could lead anywhere.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise StorageError(f"{folder} is not a folder; links are not followed")
    names = set()
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StorageError(f"{path} is a link or a special file; neither is followed")
        if path.is_file():
            names.add(path.relative_to(folder).as_posix())
    return names


def dumps(manifest: dict[str, Any]) -> str:
    """The text of a manifest, with its own sha256; a number that is not finite is null."""
    return with_checksum(with_nulls(manifest))


def with_checksum(manifest: dict[str, Any]) -> str:
    """The text of a manifest as it is; older ones may hold NaN."""
    body = json.dumps(manifest, sort_keys=True)
    wrapped = {"manifest": manifest, "sha256": hashlib.sha256(body.encode()).hexdigest()}
    return json.dumps(wrapped, indent=1, sort_keys=True) + "\n"


def loads(path: Path) -> dict[str, Any]:
    """Read what `dumps` made; any other text is refused, also one that means the same."""
    if not path.is_file():
        raise StorageError(f"{path} is missing")
    if path.stat().st_size > LARGEST:
        raise StorageError(f"{path} has {path.stat().st_size:,} bytes; more than {LARGEST:,} are not read")
    text = path.read_bytes()
    try:
        manifest = json.loads(text)["manifest"]
        intact = with_checksum(manifest).encode() == text
    except (ValueError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise StorageError(f"{path} is not what was written")
    return manifest


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Have a file or folder on the disk, not only on its way there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""What of this machine makes training fast or slow, and what to do about it."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax

import ddpg_jax
from ddpg_jax.native import interface, library
from ddpg_jax.runs.machine.cache import FOLDER, enable_compilation_cache
from ddpg_jax.runs.machine.memory import free_bytes
from ddpg_jax.runs.machine.processors import (
    XLA_THREADS,
    num_processors,
    num_xla_threads,
    processor_limit,
    processor_name,
)


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        subject: what.
        text: how it is.
        remedy: what to do, empty where nothing is to be done.
    """

    subject: str
    text: str
    remedy: str = ""


def diagnose() -> Iterator[Finding]:
    """Look at versions, processor, threads, kernels, interface, cache, memory and GPU, in this order."""
    jaxlib = importlib.metadata.version("jaxlib")
    python = platform.python_version()
    yield Finding("ddpg_jax", f"{ddpg_jax.__version__} on Python {python}, jax {jax.__version__}, jaxlib {jaxlib}")
    yield diagnose_processor()
    yield diagnose_threads(num_xla_threads(), processor_limit())
    yield diagnose_kernels()
    yield diagnose_interface()
    yield diagnose_cache(enable_compilation_cache())
    free = free_bytes()
    yield Finding("memory", "not known" if free is None else f"{free / 1e9:.1f} GB free")
    yield diagnose_gpu(jax.default_backend(), has_nvidia_driver())


def diagnose_processor() -> Finding:
    """The processor, and how much of it this process may use."""
    limit = processor_limit()
    limited = "" if limit is None else f", of which a container's limit leaves {limit:g}"
    return Finding("processor", f"{processor_name()}, {num_processors()} for this process{limited}")


def diagnose_threads(threads: int, limit: float | None) -> Finding:
    """Whether XLA begins more threads than may run at a time."""
    text = f"{threads} of XLA's"
    if limit is None or threads <= max(1, limit):
        return Finding("threads", text)
    fitting = max(1, int(limit))
    return Finding("threads", text, f"they wait for each other; set {XLA_THREADS}={fitting} for every command")


def diagnose_kernels() -> Finding:
    """Whose kernels compute."""
    reason = library.why_not()
    if reason is None:
        return Finding("kernels", f"{library.name()}, this package's own")
    is_chosen = not library.is_wanted() or jax.default_backend() != "cpu"
    remedy = "" if is_chosen else "updates take longer with these; docs/kernels.md says what is needed"
    return Finding("kernels", f"XLA's, since {reason}", remedy)


def diagnose_interface() -> Finding:
    """Whether XLA's foreign function interface is one that is spoken here."""
    spoken = f"{interface.written(interface.SPOKEN)} to {interface.written(interface.NEWEST)} are known"
    text = f"version {interface.written(interface.installed())} of XLA's foreign function interface; {spoken}"
    return Finding("interface", text, "" if interface.is_known() else interface.KNOWN_JAX)


def diagnose_cache(folder: Path | None) -> Finding:
    """Whether compiled programs are kept from one command to the next."""
    if folder is None:
        remedy = f"set {FOLDER.upper()} to a folder that can be written; each start compiles anew without"
        return Finding("cache", "cannot be written", remedy)
    sizes = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    return Finding("cache", f"{folder}, {len(sizes):,} files of {sum(sizes) / 2**20:,.0f} MiB")


def has_nvidia_driver() -> bool:
    """Whether this machine seems to have an NVIDIA GPU."""
    return os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None


def diagnose_gpu(backend: str, has_driver: bool) -> Finding:
    """Whether programs run on a GPU, where there is one."""
    if backend != "cpu":
        return Finding("GPU", f"{len(jax.local_devices())} of {jax.local_devices()[0].device_kind}; programs run there")
    if has_driver:
        return Finding("GPU", "there is one, and JAX does not use it", "pip install 'jax[cuda13]'")
    return Finding("GPU", "none is seen; programs run on the processor")

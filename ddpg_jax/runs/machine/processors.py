"""How many processors this process may use, and how many threads XLA begins for them."""

import os
import platform
from pathlib import Path

from ddpg_jax.runs.machine.control_groups import MEMBERSHIP, ROOT, ControlGroup, control_groups

# By which XLA takes another number of threads than there are processors.
XLA_THREADS = "NPROC"


def processor_name(file: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor calls itself; empty where that is not known."""
    lines = file.read_text().splitlines() if file.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor()


def num_processors() -> int:
    """Processors on which this process may run; all, where it cannot be kept from some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_limit(membership: Path = MEMBERSHIP, root: Path = ROOT) -> float | None:
    """The processors whose time a container may take, such as 1.5, or None without a limit."""
    found = [group_limit(group) for group in control_groups("cpu", membership, root)]
    return min((limit for limit in found if limit is not None), default=None)


def group_limit(group: ControlGroup) -> float | None:
    """The limit of one control group."""
    try:
        if group.version == "v2":
            quota, period = (group.folder / "cpu.max").read_text().split()
        else:
            quota, period = ((group.folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such group, or `max`: no limit
        return None


def num_xla_threads() -> int:
    """Threads that XLA begins on CPU: it counts processors, and knows nothing of a container's limit."""
    given = os.environ.get(XLA_THREADS, "")
    return int(given) if given.isdecimal() and int(given) else num_processors()

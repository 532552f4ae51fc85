"""Whether the replay memory and the networks fit, asked before anything is allocated."""

from itertools import pairwise
from pathlib import Path

import jax
import psutil

from ddpg_jax.config import Config, ConfigError, DDPGConfig
from ddpg_jax.runs.machine.control_groups import MEMBERSHIP, ROOT, ControlGroup, control_groups

# Of what is free; the rest is for networks, compiled programs and everything else that runs.
USABLE = 0.9
COPIES, FLOAT = 4, 4  # a weight, its target, and two moments; bytes
# The limit of a group, what it uses, and the page cache in it, which the kernel gives back when the memory is needed.
FILES = {
    "v2": ("memory.max", "memory.current", "inactive_file"),
    "v1": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def check_memory(num_bytes: int, config: Config) -> None:
    """Refuse what the machine or device cannot hold; where nothing is known, all is allowed.

    Args:
        num_bytes: that the replay memory would allocate (`Replay.num_bytes`).
        config: the settings that ask for it.

    Raises:
        ConfigError: with the capacity that would fit, or the setting to be lowered.
    """
    free, replay, agent = free_bytes(), config.replay, config.agent
    windows = -(-num_bytes // replay.capacity) * replay.batch_size * replay.n_step
    named_windows = f"replay.batch_size = {replay.batch_size} windows of replay.n_step = {replay.n_step}"
    named_sizes = f"agent.hidden_sizes = {agent.hidden_sizes}"
    if agent.critic_hidden_sizes:
        named_sizes += f" with agent.critic_hidden_sizes = {agent.critic_hidden_sizes}"
    problems = [
        memory_problem(num_bytes, replay.capacity, free, on_host()),
        size_problem(named_sizes, networks_bytes(agent), free, on_host()),
        size_problem(named_windows, windows, free, on_host()),
    ]
    if any(problems):
        raise ConfigError("\n".join(filter(None, problems)))


def networks_bytes(config: DDPGConfig) -> int:
    """Bytes that the networks take at least: weights between hidden layers, their targets, and Adam's two moments."""
    critic_sizes = config.critic_hidden_sizes or config.hidden_sizes
    actor, critic = (sum(a * b for a, b in pairwise((1, *sizes, 1))) for sizes in (config.hidden_sizes, critic_sizes))
    return COPIES * FLOAT * (actor + config.num_critics * critic)


def size_problem(
    named: str, num_bytes: int, free: int | None, host: bool = True, remedy: str = "lower it"
) -> str | None:
    """Why a setting cannot be used that needs so many bytes where so many are free, or None."""
    if free is None or num_bytes <= USABLE * free:
        return None
    return (
        f"{named} needs {num_bytes / 1e9:.1f} GB of memory and this {'machine' if host else 'device'} has "
        f"{free / 1e9:.1f} GB free; {remedy}"
    )


def memory_problem(num_bytes: int, capacity: int, free: int | None, host: bool = True) -> str | None:
    """Why a replay memory of that size cannot be used where so many bytes are free, or None."""
    fitting = round_down(int(capacity * USABLE * max(free or 0, 0) / num_bytes))
    remedy = f"replay.capacity = {fitting} would fit" if fitting else "not one transition would fit; free some of it"
    return size_problem(f"replay.capacity = {capacity}", num_bytes, free, host, remedy)


def round_down(number: int) -> int:
    """The first two digits, and zeros."""
    unit = 10 ** max(len(str(number)) - 2, 0)
    return number // unit * unit


def on_host() -> bool:
    """Whether arrays live in the machine's own memory."""
    return jax.default_backend() == "cpu"


def free_bytes() -> int | None:
    """Bytes that can still be allocated where arrays live; None where the device does not say."""
    if on_host():
        return min([psutil.virtual_memory().available, *cgroup_free_bytes()])
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats["bytes_in_use"]


def cgroup_free_bytes(membership: Path = MEMBERSHIP, root: Path = ROOT) -> list[int]:
    """What this process's control group and those above it leave, in bytes; empty without a limit.

    Args:
        membership: as `control_groups` takes it.
        root: where the groups are mounted.
    """
    found = [group_free_bytes(group) for group in control_groups("memory", membership, root)]
    return [room for room in found if room is not None]


def group_free_bytes(group: ControlGroup) -> int | None:
    """What one control group leaves, in bytes, or None if it has no limit."""
    limit, use, cache = FILES[group.version]
    try:
        stat = dict(line.split() for line in (group.folder / "memory.stat").read_text().splitlines())
        return int((group.folder / limit).read_text()) - int((group.folder / use).read_text()) + int(stat[cache])
    except (OSError, ValueError, KeyError):  # no such group, or `max`: no limit
        return None

"""Linux's control groups, by which containers limit memory and processors."""

from pathlib import Path
from typing import NamedTuple

MEMBERSHIP, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


class ControlGroup(NamedTuple):
    """A group that limits this process.

    Attributes:
        version: "v1" or "v2", whose files have other names.
        folder: of its files; it may not be there.
    """

    version: str
    folder: Path


def control_groups(controller: str, membership: Path = MEMBERSHIP, root: Path = ROOT) -> list[ControlGroup]:
    """The groups of this process that a controller has, and those above them.

    Args:
        controller: "memory" or "cpu".
        membership: lines `hierarchy:controllers:path`, those of v2 without controllers.
        root: where the groups are mounted.
    """
    found: list[ControlGroup] = []
    for line in membership.read_text().splitlines() if membership.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            mount = root / controller if controllers else root
            # In a container the path may be the host's; what is mounted is then the group itself.
            innermost = mount / path.lstrip("/")
            version = "v1" if controllers else "v2"
            folders = [folder for folder in (innermost, *innermost.parents) if folder.is_relative_to(mount)]
            found += [ControlGroup(version, folder) for folder in folders]
    return found

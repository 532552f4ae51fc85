"""`ddpg-jax live`."""

import contextlib
import platform
from pathlib import Path

import psutil
import tyro
from rich.console import Console

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.console.errors import DONE
from ddpg_jax.runs.console.flags import parse
from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.live.pages import make_pages
from ddpg_jax.runs.live.server import LINGER, address, listen, serve
from ddpg_jax.runs.live.server_process import open_browser
from ddpg_jax.runs.storage.directory import LOCK, command, read_settings


def live(args: list[str], console: Console) -> int:
    """`ddpg-jax live RUN`: the page of a run that trains, until it ends; the run is only read."""

    def options(run: tyro.conf.Positional[Path]) -> Path:
        """Follow a run that is training in the browser.

        Args:
            run: run directory of the training.
        """
        return run

    path = parse(options, "live", args)
    read_settings(path)
    if not training(path):
        raise ConfigError(f"{path} is not training now; for its figures: {command('report', path)}")
    with listen() as listener, contextlib.suppress(KeyboardInterrupt):
        print_line(console, f"live page {address(listener)} until the training ends, or Ctrl-C")
        open_browser(address(listener))
        pages = make_pages(path, lambda: training(path))
        serve(listener, pages, lambda quiet: quiet > LINGER and not training(path))
    return DONE


def training(path: Path) -> bool:
    """Whether the process that a run's lock names is there; the lock itself is not touched, it may be wanted."""
    lock = path / LOCK
    try:
        _, number, _, machine, *_ = lock.read_text().split()
        # A number is given again; what has begun after the lock was written is another process.
        return machine == platform.node() and psutil.Process(int(number)).create_time() <= lock.stat().st_mtime
    except (OSError, ValueError, psutil.NoSuchProcess):
        return False

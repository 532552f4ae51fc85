"""What the training process does to be followed: it starts a process of its own for that, and says where to look."""

import os
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ddpg_jax.runs.console.progress import say
from ddpg_jax.runs.live.server import address, listen
from ddpg_jax.runs.live.sketch import BLANK, Sketch, make_sketch

# Added to that of the training: where it uses every processor, the follower gets a tenth of one.
NICENESS = 10


class Follower(NamedTuple):
    """A process that serves a run.

    Attributes:
        process: it ends when its input does.
        url: where its page is.
    """

    process: subprocess.Popen[bytes]
    url: str


@contextmanager
def follow_live(path: Path, console: Console) -> Iterator[Sketch]:
    """Serve a page that follows a run, and open it if there is a browser.

    Args:
        path: the run directory.
        console: where the page's address is said.

    Yields:
        What to draw in the terminal: nothing if a browser shows the page.
    """
    try:
        follower = start_follower(path)
    except OSError as error:
        say(console, f"the live page cannot be shown: {error.strerror}")
        yield make_sketch(console)
        return
    try:
        say(console, f"live page {follower.url}")
        yield BLANK if open_browser(follower.url) else make_sketch(console)
    finally:
        end_follower(follower)


def start_follower(path: Path) -> Follower:
    """Start the process that reads the run directory and serves what it finds.

    It has a process group of its own, so that Ctrl-C is for the training alone, and no session of its own, since
    Linux would then give it as much of the processors as the training.

    Args:
        path: the run directory.

    Raises:
        OSError: if there is no port or no process to be had.
    """
    with listen() as listener:
        url = address(listener)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ddpg_jax.runs.live", str(path.absolute()), str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            process_group=0,
            # It finds what this process finds, and leaves the accelerator alone.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "JAX_PLATFORMS": "cpu"},
        )
        # Before it has imported anything, which costs a second.
        os.setpriority(os.PRIO_PROCESS, process.pid, os.nice(0) + NICENESS)
        return Follower(process, url)


def end_follower(follower: Follower) -> None:
    """Let the process end, which it does as soon as open pages have fetched the end of the run; not waited for."""
    if follower.process.stdin:
        follower.process.stdin.close()
    threading.Thread(target=follower.process.wait, name="follower", daemon=True).start()


def open_browser(url: str) -> bool:
    """Whether there is a browser with a window; it is then told to open the page, without waiting for it."""
    screen = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    try:
        # The class itself is of browsers for the terminal, which would take it from the progress.
        found = screen and type(webbrowser.get()) is not webbrowser.GenericBrowser
    except webbrowser.Error:
        return False
    if found:
        threading.Thread(target=webbrowser.open, args=(url,), name="browser", daemon=True).start()
    return found

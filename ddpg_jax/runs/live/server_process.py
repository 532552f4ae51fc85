"""The process that serves a run's live page: the training process starts it, and says where the page is."""

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

from ddpg_jax.runs.console.progress import print_line
from ddpg_jax.runs.live.server import address, listen
from ddpg_jax.runs.live.sparklines import NO_SPARKLINES, Sparklines, make_sparklines

# Added to that of the training: where it uses every processor, the server gets a tenth of one.
NICENESS = 10


class ServerProcess(NamedTuple):
    """A process that serves a run.

    Attributes:
        process: it ends when its input does.
        url: where its page is.
    """

    process: subprocess.Popen[bytes]
    url: str


@contextmanager
def serve_live(path: Path, console: Console) -> Iterator[Sparklines]:
    """Serve a page that follows a run, and open it if there is a browser.

    Args:
        path: the run directory.
        console: where the page's address is said.

    Yields:
        What to draw in the terminal: nothing if a browser shows the page.
    """
    try:
        server = start_server_process(path)
    except OSError as error:
        print_line(console, f"the live page cannot be shown: {error.strerror}")
        yield make_sparklines(console)
        return
    try:
        print_line(console, f"live page {server.url}")
        yield NO_SPARKLINES if open_browser(server.url) else make_sparklines(console)
    finally:
        end_server_process(server)


def start_server_process(path: Path) -> ServerProcess:
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
        return ServerProcess(process, url)


def end_server_process(server: ServerProcess) -> None:
    """Let the process end, which it does as soon as open pages have fetched the end of the run; not waited for."""
    if server.process.stdin:
        server.process.stdin.close()
    threading.Thread(target=server.process.wait, name="live page", daemon=True).start()


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

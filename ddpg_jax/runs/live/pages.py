"""What can be asked for while a run trains: the page of the report, and its figures as they are now."""

import threading
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from ddpg_jax.runs.live.server import Content, Pages
from ddpg_jax.runs.report.figures import figures
from ddpg_jax.runs.report.record import read_record
from ddpg_jax.runs.report.run_page import run_head, run_page, verdict_class
from ddpg_jax.runs.report.verdict import judge
from ddpg_jax.runs.storage.directory import METRICS
from ddpg_jax.runs.storage.strict_json import dumps

# Figures are not made anew before so many times what they cost has passed: that is 2 % of one processor.
REST = 50


def make_pages(path: Path, training: Callable[[], bool]) -> Pages:
    """Build the contents, by path.

    Args:
        path: the run directory; it is only read.
        training: whether the run is still being written.
    """
    script = (resources.files(__package__) / "live.js").read_text(encoding="utf-8")

    def page() -> Content:
        text = run_page(read_record(path), script, connect="'self'")
        return Content("text/html; charset=utf-8", text.encode())

    return {"/": page, "/figures.json": make_figures(path, training)}


def make_figures(path: Path, training: Callable[[], bool]) -> Callable[[], Content]:
    """Build what draws the figures of the rows so far: anew if there are others, but not all the time.

    Args:
        path: the run directory.
        training: whether the run is still being written.
    """
    lock = threading.Lock()
    content, content_of, next_time = Content("application/json", b""), None, 0.0

    def current() -> Content:
        nonlocal content, content_of, next_time
        with lock:
            running = training()
            state = (size(path / METRICS), running)
            if state != content_of and (time.monotonic() >= next_time or not running):
                begin = time.thread_time()
                content, content_of = content._replace(body=figures_json(path, running)), state
                next_time = time.monotonic() + REST * (time.thread_time() - begin)
            return content

    return current


def figures_json(path: Path, running: bool) -> bytes:
    """What the page's script needs to show a run as it is now, as JSON."""
    record = read_record(path)
    verdict = judge(record)
    found = {
        "training": running,
        "head": run_head(record, verdict),
        "shows": {"figure": verdict.figure, "mood": verdict_class(verdict)},
        "figures": figures(record),
    }
    return dumps(found, separators=(",", ":")).encode()


def size(file: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    return file.stat().st_size if file.exists() else 0

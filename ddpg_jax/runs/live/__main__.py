"""The server of a live page: `python -m ddpg_jax.runs.live RUN SOCKET`, started by `serve_live`, a pipe its input."""

import select
import socket
import sys
from pathlib import Path

from ddpg_jax.runs.live.pages import make_pages
from ddpg_jax.runs.live.server import LINGER, serve


def main() -> None:
    """Serve a run until the process that started this one has ended, and pages have fetched the end.

    The other end of the pipe is closed by the kernel, however that process ends.
    """
    path, number = sys.argv[1:]

    def ended() -> bool:
        return bool(select.select([0], [], [], 0)[0])

    listener = socket.socket(fileno=int(number))
    serve(listener, make_pages(Path(path), lambda: not ended()), lambda quiet: quiet > LINGER and ended())


if __name__ == "__main__":
    main()

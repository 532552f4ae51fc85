"""A server of a few files for browsers on this machine, and for nobody else."""

import hashlib
import socket
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

LOOPBACK = "127.0.0.1"
# Seconds after which a connection that says nothing is closed; browsers open some in advance.
PATIENCE = 10.0
# Seconds without a question after which no page is open; it asks every two.
LINGER = 4.0
# Seconds after which it is asked again whether it shall end.
PULSE = 0.5
# What pages of the network may do with what is here: nothing. The page itself says what it may do.
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Content(NamedTuple):
    """What a path holds.

    Attributes:
        kind: MIME type.
        body: the bytes.
    """

    kind: str
    body: bytes


Pages = dict[str, Callable[[], Content]]


def listen() -> socket.socket:
    """A socket that listens on a free port of the loopback interface."""
    return socket.create_server((LOOPBACK, 0))


def address(listener: socket.socket) -> str:
    """What to type into a browser."""
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}/"


def serve(listener: socket.socket, pages: Pages, ended: Callable[[float], bool]) -> None:
    """Answer GET requests until it shall end.

    Args:
        listener: as `listen` made it.
        pages: what can be asked for, by path.
        ended: asked about twice a second, with the seconds since the last answer.
    """
    asked = time.monotonic()

    def answered() -> None:
        nonlocal asked
        asked = time.monotonic()

    port = listener.getsockname()[1]
    handler = partial(Handler, pages, {f"{name}:{port}" for name in (LOOPBACK, "localhost")}, answered)
    with ThreadingHTTPServer(listener.getsockname(), handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket, server.timeout, server.daemon_threads = listener, PULSE, True
        while not ended(time.monotonic() - asked):
            server.handle_request()


class Handler(BaseHTTPRequestHandler):
    """One connection; the library wants a class."""

    timeout = PATIENCE

    def __init__(self, pages: Pages, hosts: set[str], answered: Callable[[], None], *connection: object) -> None:
        self.pages, self.hosts, self.answered = pages, hosts, answered
        super().__init__(*connection)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with what is asked for, if the question is one that this page asks."""
        if self.headers.get("Host") not in self.hosts:
            # A page of the network may give its own name this address, to read what is here.
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif self.path not in self.pages:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            try:
                self.answer(self.pages[self.path]())
            except ConnectionError:  # the page is gone
                self.close_connection = True
            except Exception as error:  # the run directory is gone, or in a state that nobody thought of
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=f"{type(error).__name__}: {error}")

    def answer(self, content: Content) -> None:
        """Send a content, or its tag alone if the browser has it."""
        tag = f'"{hashlib.sha256(content.body).hexdigest()}"'
        same = self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if same else HTTPStatus.OK)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("ETag", tag)
        if not same:
            self.send_header("Content-Type", content.kind)
            self.send_header("Content-Length", str(len(content.body)))
        self.end_headers()
        if not same:
            self.wfile.write(content.body)
        self.answered()

    def log_message(self, *_: object) -> None:
        """Say nothing; the terminal is the training's."""

"""Stopping on request: the first signal asks, a second one leaves at once."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield `stopped()`: whether SIGINT or SIGTERM has arrived; a second one ends the process at once.

    Python's own handlers wait for the running program of XLA to return. A thread reads what the handler
    in C has written instead, so that the second signal needs no patience.
    """
    asked = threading.Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        while byte := reader.recv(1):
            if byte[0] not in SIGNALS:
                continue
            if asked.is_set():
                os._exit(128 + byte[0])
            asked.set()

    threading.Thread(target=watch, name="signals", daemon=True).start()
    handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    before = signal.set_wakeup_fd(writer.fileno())
    try:
        yield asked.is_set
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        writer.close()

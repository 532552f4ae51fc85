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


@contextmanager
def interrupt_requests() -> Iterator[Callable[[], bool]]:
    """Yield `stopped()`: whether SIGINT has arrived; a second one raises KeyboardInterrupt where the program stands.

    For a run within a program of someone else, whose handlers are back in their place afterwards. Outside of the main
    thread, which alone may have handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)

"""Threads in which Python runs for compiled programs, so that it holds none of those that programs need.

A compiled program that waits for Python holds one of XLA's threads, of which there are as many as processors. If Python
ran in another of them, a program that Python starts (an opponent's policy in an environment's step) might find none.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.buffer_callback import buffer_callback

# JAX runs at most 32 programs at a time on a CPU, and each of these threads is one of them.
MOST_IN_PROGRAMS = 16
POLL = 0.01  # seconds
STARTED: list[threading.Thread] = []
SERVING: list[threading.Thread] = []  # those of them that have come to where they wait for calls


def start(serve: Callable[[], None]) -> None:
    """Start a thread that runs a function which never returns."""

    def begin() -> None:
        SERVING.append(threading.current_thread())
        serve()

    target = begin if len(STARTED) >= MOST_IN_PROGRAMS else lambda: inside_callback(begin)
    thread = threading.Thread(target=target, name=f"ddpg_jax host {len(STARTED)}", daemon=True)
    with contextlib.suppress(RuntimeError):  # there may be no more, or the process ends; then the others must do
        thread.start()
        STARTED.append(thread)


def inside_callback(serve: Callable[[], None]) -> None:
    """Run a function as a callback of JAX's.

    What is computed in one, JAX computes in the same thread. Elsewhere it would wait for a thread of XLA's that starts
    programs, and two programs which wait for Python hold both of those on two processors.
    """

    def serve_program(context: Any, output: Any) -> None:
        serve()

    jax.jit(buffer_callback(serve_program, jax.ShapeDtypeStruct((), jnp.float32)))()


def wait_for(count_running: Callable[[], int]) -> None:
    """When the process ends, wait for the calls that run, since a program that waits for one keeps JAX from ending.

    And wait for threads that are being started: Python ends a thread that it finds in its code, and where JAX's code
    lies between, that ends the whole process by a signal. Ctrl-C ends the process at once: an environment may never
    come back.
    """
    try:
        while count_running() or any(thread.is_alive() and thread not in SERVING for thread in STARTED):
            time.sleep(POLL)
        time.sleep(POLL)  # until they wait, outside of Python, which is no more when they come back
    except KeyboardInterrupt:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


def find_mode_functions() -> Any:
    """The C library's functions that keep and set how a thread computes, or None on other systems."""
    with contextlib.suppress(OSError):
        return ctypes.CDLL("libm.so.6") if sys.platform == "linux" else None
    return None


LIBM = find_mode_functions()
DEFAULT_MODE = ctypes.c_void_p(-1)  # FE_DFL_ENV
MODE_SIZE = 256  # bytes, more than fenv_t of any processor


@contextlib.contextmanager
def default_mode() -> Iterator[None]:
    """Compute as the processor does by default: XLA's threads take denormal numbers for 0, environments do not."""
    if LIBM is None:
        yield
        return
    mode = ctypes.create_string_buffer(MODE_SIZE)
    LIBM.fegetenv(mode)
    LIBM.fesetenv(DEFAULT_MODE)
    try:
        yield
    finally:
        LIBM.fesetenv(mode)

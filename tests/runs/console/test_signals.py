import signal
import subprocess
import sys
import threading
import time

import pytest

from ddpg_jax.runs.console.signals import interrupt_requests, stop_requests

PROGRAM = """
import sys, time
from ddpg_jax.runs.console.signals import stop_requests
with stop_requests() as stopped:
    print(stopped(), flush=True)
    {wait}
    print(stopped(), flush=True)
"""
UNTIL_ASKED = "while not stopped(): time.sleep(0.01)"
# A program that does not come back to Python, as XLA's do not.
IN_C = "import ctypes; c = ctypes.CDLL(None); m = bytes(64); c.pthread_mutex_lock(m); c.pthread_mutex_lock(m)"


def start(wait):
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(wait=wait)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "False\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_asks(number):
    process = start(UNTIL_ASKED)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "True\n")


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)])
def test_a_second_one_leaves_at_once_even_from_inside_a_compiled_program(numbers):
    process = start(IN_C)
    for number in numbers:
        time.sleep(0.2)
        process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + numbers[1]


def test_afterwards_signals_act_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_requests() as stopped:
        assert not stopped()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_within_a_program_of_someone_else_a_second_interrupt_is_python_s_own_and_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interrupt_requests() as stopped:
        assert signal.getsignal(signal.SIGTERM) == before[1]
        assert not stopped()
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_of_the_main_thread_no_handler_is_changed():
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter():
        with interrupt_requests() as stopped:
            seen.append((stopped(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(False, before)]

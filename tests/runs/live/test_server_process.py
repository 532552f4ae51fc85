"""The live page as a browser sees it, while a real run trains."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest
from rich.console import Console

from ddpg_jax.config import Config, from_dict
from ddpg_jax.runs import driver
from ddpg_jax.runs.live import pages, server_process
from ddpg_jax.runs.live.server import LOOPBACK
from ddpg_jax.runs.live.server_process import open_browser, serve_live
from ddpg_jax.runs.live.sparklines import NO_SPARKLINES
from ddpg_jax.runs.report.figures import figures
from ddpg_jax.runs.report.record import read_record
from ddpg_jax.runs.session import prepare, start
from ddpg_jax.runs.storage.directory import METRICS, create_run, lock_run
from ddpg_jax.runs.storage.metrics import append_rows

TINY = from_dict(
    Config,
    {
        "env": "gymnax/Pendulum-v1",
        "agent": {"hidden_sizes": [8]},
        "replay": {"capacity": 400, "batch_size": 8, "n_step": 3},
        "exploration": {"kind": "ou"},
        "train": {
            "num_envs": 2, "total_steps": 640, "start_steps": 80, "update_after": 160, "log_every": 80,
            "eval_every": 240, "eval_episodes": 1, "final_eval_episodes": 1,
        },
    },
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_browser(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run", TINY, "default")


def url(console):
    (word,) = [word for word in console.file.getvalue().split() if word.startswith("http")]
    return word


def get(address):
    with urlopen(address, timeout=60) as answer:
        return answer.read().decode()


def drawn(address):
    return json.loads(get(address + "figures.json"))


def listening(address):
    """Looked at after a moment; a connection that asks for nothing does not keep the follower."""
    time.sleep(0.1)
    try:
        socket.create_connection((LOOPBACK, urlsplit(address).port)).close()
    except ConnectionRefusedError:
        return False
    return True


def updates(found):
    """Points of the curve of Q."""
    return len(found["figures"]["q_target"]["data"][0]["x"]) if "q_target" in found["figures"] else 0


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_figures_of_a_real_training_move_and_end_as_those_of_the_report(run, console, monkeypatch):
    monkeypatch.setattr(server_process, "NICENESS", 1)  # other tests run beside it
    session, seen = prepare(TINY), []

    def polled():
        seen.append(drawn(url(console)))
        return False

    with lock_run(run), serve_live(run, console) as sparklines:
        (server,) = [child for child in psutil.Process().children() if "ddpg_jax.runs.live" in child.cmdline()]
        assert os.getpgid(server.pid) != os.getpgid(0), "Ctrl-C is for the training"
        assert server.nice() == os.nice(0) + 1
        page = get(url(console))
        driver.train(session, run, start(session), polled, console)
        assert sparklines is not NO_SPARKLINES, "there is no browser"
    last = drawn(url(console))
    session.close()
    assert 'data-figure="learning"' in page
    assert "figures.json" in page
    assert all(found["training"] for found in seen)
    assert not last["training"]
    record = read_record(run)
    assert updates(seen[0]) == 0
    assert updates(last) == len(record.rows["update"]) > 1
    assert last["figures"] == figures(record)
    assert "640" in last["head"]


def test_the_follower_sees_the_end_of_a_training_that_was_killed_and_ends_too(run, console):
    append_rows(run / METRICS, [{"kind": "episode", "step": 200, "env": 0, "return": -5.0, "length": 200}])
    before = contents(run)
    script = f"""
import pathlib, sys, time
from rich.console import Console
from ddpg_jax.runs.live import server_process
server_process.NICENESS = 0
with server_process.serve_live(pathlib.Path({str(run)!r}), Console(width=200)):
    sys.stdout.flush()
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as trainer:
        address = trainer.stdout.readline().split()[-1]
        assert drawn(address)["training"]
        trainer.send_signal(signal.SIGKILL)
    assert not drawn(address)["training"]
    assert contents(run) == before, "it is only read"
    assert any(not listening(address) for _ in range(300))


def test_figures_are_made_anew_only_after_a_rest_or_at_the_end(run, monkeypatch):
    running = True
    monkeypatch.setattr(pages, "REST", 1e9)
    current = pages.make_figures(run, lambda: running)
    first = current().body
    append_rows(run / METRICS, [{"kind": "episode", "step": 200, "env": 0, "return": -5.0, "length": 200}])
    assert current().body == first
    running = False
    assert "learning" in json.loads(current().body)["figures"]
    assert current().body is current().body, "nothing is made anew while nothing has changed"


def test_figures_follow_the_rows_once_rested(run, monkeypatch):
    monkeypatch.setattr(pages, "REST", 0)
    current = pages.make_figures(run, lambda: True)
    assert not json.loads(current().body)["figures"]
    append_rows(run / METRICS, [{"kind": "episode", "step": 200, "env": 0, "return": -5.0, "length": 200}])
    assert "learning" in json.loads(current().body)["figures"]


def test_a_training_goes_on_where_no_page_can_be_shown(run, console, monkeypatch):
    def refuse(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(server_process, "listen", refuse)
    with serve_live(run, console) as sparklines:
        assert sparklines is not NO_SPARKLINES
    assert console.file.getvalue() == "the live page cannot be shown: Too many open files\n"


class TestBrowser:
    def test_a_machine_without_a_screen_has_none(self):
        assert not open_browser("http://127.0.0.1:1/")

    @pytest.mark.parametrize(
        ("kind", "found"), [(webbrowser.GenericBrowser, False), (webbrowser.BackgroundBrowser, True)]
    )
    def test_one_that_takes_the_terminal_is_none(self, monkeypatch, kind, found):
        monkeypatch.setenv("DISPLAY", ":0")
        opened = []
        monkeypatch.setattr(webbrowser, "get", lambda: kind("true"))
        monkeypatch.setattr(webbrowser, "open", opened.append)
        assert open_browser("http://127.0.0.1:1/") is found
        assert opened == ["http://127.0.0.1:1/"] * found

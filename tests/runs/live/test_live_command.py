import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import pytest
from rich.console import Console

from ddpg_jax.config import Config, ConfigError
from ddpg_jax.runs.commands.live import live, training
from ddpg_jax.runs.storage.directory import LOCK, create_run, lock_run


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run", Config(), "default")


def test_a_run_is_training_while_the_process_that_its_lock_names_is_there(run):
    assert not training(run)
    with lock_run(run):
        assert training(run)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    text = (run / LOCK).read_text()
    (run / LOCK).write_text(text.replace(str(os.getpid()), str(process.pid)))
    assert not training(run)
    (run / LOCK).write_text(text)
    os.utime(run / LOCK, (1, 1))
    assert not training(run), "this process has begun after that lock"
    (run / LOCK).write_text("")
    assert not training(run)


def test_a_run_that_is_not_training_has_a_report(run):
    with pytest.raises(ConfigError, match="is not training now; for its figures: ddpg-jax report"):
        live([str(run)], Console())


def test_it_shows_the_page_until_the_training_ends(run, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("ddpg_jax.runs.commands.live.LINGER", 0.0)
    reader, writer = os.pipe()
    with os.fdopen(reader) as said, os.fdopen(writer, "w") as file, lock_run(run), ThreadPoolExecutor() as pool:
        ended = pool.submit(live, [str(run)], Console(file=file, width=200))
        address = said.readline().split()[2]
        with urlopen(address, timeout=60) as answer:
            assert b'data-figure="learning"' in answer.read()
        assert not ended.done()
        (run / LOCK).write_text("")
        assert ended.result(timeout=60) == 0

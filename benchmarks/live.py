"""What being followed costs a training: `python -m benchmarks.live`.

The preset `pendulum`, shorter, trains through Gymnasium again and again, compiled once before: alone; followed from
its first second, so that the follower's own start counts; followed by one that was there before; and the same with
the rows of a million steps in its metrics already, so that each drawing is as dear as it gets. A process polls as
the page does, every two seconds. With `--browser chromium`, the page itself is a fifth contender, in a browser without
a window, which draws on the same processors. They take turns, another one first in each round; ratios are taken
within rounds.
"""

import argparse
import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import psutil
from rich.console import Console

from benchmarks import kernels, measure
from ddpg_jax.agent.state import UpdateInfo
from ddpg_jax.presets import find_preset
from ddpg_jax.runs import driver
from ddpg_jax.runs.live.server_process import end_server_process, start_server_process
from ddpg_jax.runs.session import Session, prepare, start
from ddpg_jax.runs.storage.directory import METRICS, create_run, lock_run
from ddpg_jax.runs.storage.metrics import append_rows

PRESET = "pendulum"
ALONE, FROM_START, BEFORE = "alone", "followed from its start", "followed from before"
LONG, BROWSER = "with a million steps behind it", "with the page in a browser"
SETTLING = 8.0  # seconds
# What the page's script asks for, and how often.
POLL = """
import json, sys, time, urllib.error, urllib.request
tag = ""
while True:
    try:
        request = urllib.request.Request(sys.argv[1] + "figures.json", headers={"If-None-Match": tag})
        with urllib.request.urlopen(request) as answer:
            tag = answer.headers["ETag"]
            json.loads(answer.read())
    except urllib.error.HTTPError:  # nothing new
        pass
    time.sleep(2)
"""
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip


class Sample(NamedTuple):
    """One training.

    Attributes:
        seconds: from its first step to its end.
        share: of one processor that the follower took meanwhile.
    """

    seconds: float
    share: float = 0.0


class Followed(NamedTuple):
    """How a training is followed.

    Attributes:
        before: whether the page is open before the training begins.
        rows: of metrics that are there already.
        page: `page(url)` holds the page open; None if there is none.
    """

    before: bool = True
    rows: int = 0
    page: Callable[[str], AbstractContextManager] | None = None


def time_training(session: Session, how: Followed) -> Sample:
    """Train in a directory of its own."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        run = create_run(pathlib.Path(place) / "run", session.config, PRESET)
        write_history(run, how.rows)
        point = start(session)
        if how.before:
            cpu = stack.enter_context(follow(run, how))
        begin = time.perf_counter()
        if not how.before:
            cpu = stack.enter_context(follow(run, how))
        spent = cpu()
        with lock_run(run):
            driver.train(session, run, point, lambda: False, Console(quiet=True))
        seconds = time.perf_counter() - begin
        return Sample(seconds, (cpu() - spent) / seconds)


@contextmanager
def follow(run: pathlib.Path, how: Followed) -> Iterator[Callable[[], float]]:
    """Follow a run as `--live` does; yields the processor seconds of the follower so far."""
    if how.page is None:
        yield lambda: 0.0
        return
    server = start_server_process(run)
    process = psutil.Process(server.process.pid)
    if how.before:
        urllib.request.urlopen(server.url + "figures.json").read()
    try:
        with how.page(server.url):
            yield lambda: sum(process.cpu_times()[:2])
    finally:
        end_server_process(server)


@contextmanager
def opened(*command: str) -> Iterator[None]:
    """Run a program meanwhile."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def poll(url: str) -> AbstractContextManager:
    """What the page's script does, without drawing."""
    return opened(sys.executable, "-c", POLL, url)


@contextmanager
def browse(program: str, url: str) -> Iterator[None]:
    """The page itself, once the browser has started and drawn it."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        opened(program, *CHROMIUM, f"--user-data-dir={profile}", url),
    ):
        time.sleep(SETTLING)
        yield


def write_history(run: pathlib.Path, count: int) -> None:
    """Rows as a long run has them: so many of episodes, of probes and of updates."""
    names = [name for name in UpdateInfo._fields if name != "skipped"]
    for index, values in enumerate(np.random.default_rng(0).normal(size=(count, 64)).round(4).tolist()):
        step = 500 * (index + 1)
        episode = {"kind": "episode", "step": step, "env": 0, "return": 100 * values[0], "length": 200}
        probe = {"kind": "probe", "step": step, "action": [[value] for value in values[:32]], "q": values[32:]}
        update = {"kind": "update", "step": step, "seconds": step / 400, **dict(zip(names, values, strict=False))}
        append_rows(run / METRICS, [episode, probe, update])


def summarize(rounds: list[dict[str, Sample]]) -> dict:
    """Seconds, what the follower took of one processor, and how much slower than alone, within rounds."""
    seconds = {name: np.array([each[name].seconds for each in rounds]) for name in rounds[0]}
    return {
        "seconds": {name: measure.quartiles(values) for name, values in seconds.items()},
        "slower": {
            f"{name} / {ALONE}": measure.quartiles(values / seconds[ALONE])
            for name, values in seconds.items()
            if name != ALONE
        },
        "share of one processor": {
            name: measure.quartiles([each[name].share for each in rounds]) for name in rounds[0] if name != ALONE
        },
        "samples": {name: values.round(3).tolist() for name, values in seconds.items()},
    }


def show(summary: dict) -> None:
    """Print all of them as one table."""
    rows = [
        (f"{name}, {title}", *(f"{value:.3f}" for value in values))
        for title in ("seconds", "slower", "share of one processor")
        for name, values in summary[title].items()
    ]
    measure.show("trainings that are followed", ("", "lower quartile", "median", "upper quartile"), rows)


def main() -> None:
    """Take turns, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="trainings of each kind (default 9)")
    parser.add_argument("--steps", type=int, default=6_000, help="of each (default 6000)")
    parser.add_argument("--browser", help="Chromium, for the page itself")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    args = kernels.parse(parser)
    config = find_preset(PRESET).config
    train = replace(config.train, total_steps=args.steps, final_eval_episodes=config.train.eval_episodes)
    kinds = {
        ALONE: Followed(),
        FROM_START: Followed(before=False, page=poll),
        BEFORE: Followed(page=poll),
        LONG: Followed(page=poll, rows=2_000),
        **({BROWSER: Followed(page=partial(browse, args.browser))} if args.browser else {}),
    }
    rounds: list[dict[str, Sample]] = []
    with contextlib.closing(prepare(replace(config, train=train))) as session:
        time_training(session, kinds[ALONE])  # compiles
        for turn in range(args.rounds):
            order = [*kinds][turn % len(kinds) :] + [*kinds][: turn % len(kinds)]
            rounds.append({name: time_training(session, kinds[name]) for name in order})
            measure.write(args, "live", summarize(rounds))
    show(summarize(rounds))


if __name__ == "__main__":
    main()

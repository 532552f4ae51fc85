import base64
import hashlib
import json
import os
import re
import shutil
from html.parser import HTMLParser

import pytest
from made_runs import evaluation, update, whole_run, write_run
from rich.console import Console

from ddpg_jax.config import ConfigError
from ddpg_jax.runs.commands.report import report
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.report.page import page, section, table
from ddpg_jax.runs.report.write import write_report
from ddpg_jax.runs.storage.directory import METRICS, SETTINGS

pytest.importorskip("plotly", reason="plotly is not installed")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def files(path):
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()}


def without_plotly(text):
    return re.sub(r"<script>/\*\*.*?</script>", "", text, count=1, flags=re.DOTALL)


def test_the_run_is_only_read(tmp_path):
    path = write_run(tmp_path / "run", whole_run(), tail='{"kind": "upd')
    before = files(path)
    assert write_report((path,), tmp_path / "out.html") == tmp_path / "out.html"
    assert files(path) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.html", "run"]


def test_by_default_it_is_written_into_the_run_and_nothing_else_is(tmp_path, monkeypatch):
    path = write_run(tmp_path / "run", whole_run())
    before = files(path)
    assert write_report((path,)) == path / "report.html"
    assert files(path).keys() - before.keys() == {"report.html"}
    other = write_run(tmp_path / "other", whole_run(), seed=1)
    monkeypatch.chdir(tmp_path)
    write_report((path, other))
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize("rows", [[], [update(500)], [evaluation(1000, [-1.0])], [{"kind": "restart", "step": 1}]])
def test_a_run_that_has_hardly_begun_has_a_page_that_says_what_is_missing(tmp_path, rows):
    text = write_report((write_run(tmp_path / "run", rows),)).read_text()
    assert text.count('class="missing"') == 10
    again = write_report((tmp_path / "run", write_run(tmp_path / "b", rows, seed=1)), tmp_path / "both.html")
    assert again.read_text().count('class="missing"') == 6


def test_the_page_holds_everything_and_asks_for_nothing(tmp_path):
    text = write_report((write_run(tmp_path / "run", whole_run()),)).read_text()
    ours = without_plotly(text)
    assert len(ours) < 500_000
    assert not re.findall(r"(?:src|href)=[\"']?(?!#|data:)\w[^\s>]*", ours)
    assert "@import" not in ours
    assert not re.findall(r"url\(", ours)
    assert len(text) < 6e6


def test_only_its_own_scripts_may_run(tmp_path):
    text = write_report((write_run(tmp_path / "run", whole_run()),)).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


class Tags(HTMLParser):
    """All tags of a page, and the text of its data."""

    def __init__(self):
        super().__init__()
        self.tags, self.data, self.inside = [], "", False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = dict(attrs).get("id") == "figures"

    def handle_data(self, data):
        self.data += data if self.inside else ""


def test_text_from_runs_stays_text(tmp_path):
    rows = [*whole_run(), {"kind": "restart", "step": 5000, "reason": EVIL}]
    path = write_run(tmp_path / "<img src=x onerror=alert(3)>", rows)
    settings = json.loads((path / SETTINGS).read_text())
    settings["versions"][EVIL] = EVIL
    (path / SETTINGS).write_text(json.dumps(settings))
    other = write_run(tmp_path / "b", rows, seed=1)
    for paths in ((path,), (path, other)):
        parsed = Tags()
        parsed.feed(without_plotly(write_report(paths, tmp_path / "out.html").read_text()))
        assert "img" not in [tag for tag, _ in parsed.tags]
        assert [attrs.get("type") for tag, attrs in parsed.tags if tag == "script"] == ["application/json", None]
        assert not [name for _, attrs in parsed.tags for name in attrs if name.startswith("on")]
        json.loads(parsed.data)


def test_pieces_of_the_page_escape_what_they_are_given():
    text = page(EVIL, "", section("a", EVIL, EVIL, EVIL) + table(EVIL, [EVIL], [[EVIL]]), {"a": {"note": EVIL}})
    assert "<img" not in without_plotly(text)


def test_the_command_says_where_the_page_is(tmp_path, capsys):
    path = write_run(tmp_path / "run", whole_run())
    assert report([str(path), "-o", str(tmp_path / "a.html")], Console(width=400)) == 0
    assert capsys.readouterr().out == f"report: {tmp_path / 'a.html'}\n"
    assert report([str(path), "--output", str(tmp_path / "b.html")], Console(width=400)) == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_wrong_input_is_one_line_and_writes_nothing(tmp_path):
    path, empty = write_run(tmp_path / "run", whole_run()), tmp_path / "empty"
    empty.mkdir()
    for paths, output, message in (
        ((tmp_path / "none",), None, "holds no run"),
        ((path,), tmp_path, "is a directory"),
        ((path,), tmp_path / "no" / "a.html", "is no directory"),
        ((path, empty), None, "holds no run"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_report(paths, output)
    with pytest.raises(ConfigError, match="needs a run directory"):
        report([], Console())
    assert sorted(file.name for file in path.iterdir()) == sorted([METRICS, SETTINGS])


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = write_run(tmp_path / "run", whole_run())
    (path / "report.html").write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="No space left"):
        write_report((path,))
    assert (path / "report.html").read_text() == "old"
    assert sorted(file.name for file in path.iterdir()) == sorted([METRICS, SETTINGS, "report.html"])


def test_a_run_named_twice_counts_once(tmp_path):
    path = write_run(tmp_path / "run", whole_run())
    once, twice = write_report((path,), tmp_path / "a.html"), write_report((path, path), tmp_path / "b.html")
    assert once.read_bytes() == twice.read_bytes()


def test_a_folder_stands_for_the_runs_in_it_and_what_cannot_be_read_is_one_line(tmp_path, capsys):
    folder = tmp_path / "runs"
    for seed in range(2):
        write_run(folder / f"a-{seed}", whole_run(), seed=seed)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no run")
    damaged = write_run(folder / "damaged", whole_run())
    (damaged / SETTINGS).write_text("{")
    assert report([str(folder), "-o", str(tmp_path / "a.html")], Console(width=400)) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == f"left out: {damaged / SETTINGS} is damaged; it must be the JSON that training wrote"
    assert second == f"left out: {folder / 'empty'} holds no run: {folder / 'empty' / SETTINGS} cannot be read"
    assert last == f"report: {tmp_path / 'a.html'}"
    named = write_report((folder / "a-0", folder / "a-1"), tmp_path / "b.html")
    assert named.read_bytes() == (tmp_path / "a.html").read_bytes()
    with pytest.raises(ConfigError, match="is damaged"):
        write_report((damaged,))
    shutil.rmtree(folder / "a-0")
    shutil.rmtree(folder / "a-1")
    with pytest.raises(ConfigError, match="none of the folders in it"):
        write_report((folder,))


def test_the_table_has_a_line_for_each_evaluation(tmp_path, capsys):
    for seed, tau in ((0, 0.01), (1, 0.01), (0, 0.02)):
        rows = [evaluation(step, [-float(step), -3.0 - seed]) for step in (1000, 2000)]
        write_run(tmp_path / "runs" / f"{tau}-{seed}", rows, seed=seed, tau=tau)
    (table, again) = tmp_path / "runs.csv", tmp_path / "one.csv"
    args = [str(tmp_path / "runs"), "-o", str(tmp_path / "a.html"), "--csv"]
    assert report([*args, str(table)], Console(width=400)) == 0
    assert f"evaluations: {table}" in capsys.readouterr().out
    assert table.read_text().splitlines() == [
        "env,group,seed,step,return",
        "Pendulum-v1,tau = 0.01,0,1000,-501.5",
        "Pendulum-v1,tau = 0.01,0,2000,-1001.5",
        "Pendulum-v1,tau = 0.01,1,1000,-502.0",
        "Pendulum-v1,tau = 0.01,1,2000,-1002.0",
        "Pendulum-v1,tau = 0.02,0,1000,-501.5",
        "Pendulum-v1,tau = 0.02,0,2000,-1001.5",
    ]
    write_report((tmp_path / "runs" / "0.01-1",), csv=again)
    assert again.read_text().splitlines()[1] == "Pendulum-v1,0.01,1,1000,-502.0"
    with pytest.raises(ConfigError, match=r"name the file: --csv .*report\.csv"):
        write_report((tmp_path / "runs",), csv=tmp_path)


def test_a_small_page_fetches_plotly_and_nothing_else(tmp_path, capsys):
    path = write_run(tmp_path / "run", whole_run())
    assert report([str(path), "--plotly", "cdn"], Console(width=400)) == 0
    assert capsys.readouterr().out == f"report: {path / 'report.html'}; it needs the network whenever it is opened\n"
    text = (path / "report.html").read_text()
    assert len(text) < 500_000
    ((url, integrity),) = re.findall(r'<script src="(.*?)" integrity="(.*?)" crossorigin="anonymous"></script>', text)
    whole = re.search(r"<script>(/\*\*.*?)</script>", write_report((path,)).read_text(), flags=re.DOTALL)[1]
    assert integrity == f"sha256-{base64.b64encode(hashlib.sha256(whole.encode()).digest()).decode()}"
    policy = re.search(r"script-src ([^;]*);", text)[1]
    assert [source for source in policy.split() if not source.startswith("'sha256-")] == [url]
    with pytest.raises(ConfigError, match=r"plotly = 'no' must be one of 'inline', 'cdn'"):
        report([str(path), "--plotly", "no"], Console())

"""The log of decisions: a question, an answer, a figure, a date and a commit in each line."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "benchmarks" / "NOTES.md").read_text()
LOG = TEXT.partition("## What needs a new run")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in LOG.splitlines()
    if line.startswith("| ") and not line.startswith("| question")
]


def test_each_line_says_all_five():
    assert len(ROWS) > 60
    for row in ROWS:
        question, answer, figure, date, commit = row
        assert question.endswith("?"), row
        assert answer, row
        assert figure, row
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", date), row
        assert re.fullmatch(r"[0-9a-f]{7}|this line's", commit), row


def test_lines_are_short():
    assert [row for row in ROWS if len(" ".join(row)) > 260] == []


def test_commits_are_of_these_dates():
    commits = {commit: date for *_, date, commit in ROWS if commit != "this line's"}
    words = ["git", "show", "--no-patch", "--format=%h %ad", "--date=short", "--abbrev=7", *commits]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("the history is not here")
    assert dict(line.split() for line in done.stdout.splitlines()) == commits


def test_files_that_need_a_new_run_are_there():
    named = set(re.findall(r"`(results/[\w.-]+\.json)`", TEXT))
    assert named
    assert all((ROOT / "benchmarks" / name).exists() for name in named)

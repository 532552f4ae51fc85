"""What the pages say of flags, names, verdicts and exit codes is what the code has; their examples run."""

import ast
import json
import pathlib
import re
import shlex
import shutil
import sys

import pytest

from ddpg_jax.config import Config
from ddpg_jax.runs.console import cli, errors
from ddpg_jax.runs.console.flags import section_flags
from ddpg_jax.runs.console.hints import named_flags, remedy
from ddpg_jax.runs.report import remedies, verdict
from docs.generate import figures, settings, tutorial

ROOT = pathlib.Path(__file__).parents[2]
DOCS, RESULTS = ROOT / "docs", ROOT / "benchmarks" / "results"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in sorted(DOCS.rglob("*.md"))}
WRITTEN = {name: text for name, text in PAGES.items() if name not in ("figures.md", "settings.md", "tutorial.md")}
KNOWN = dict(section_flags(Config()))
SENTENCE = 25


def test_settings_and_figures_are_as_they_would_be_made_now():
    """`python -m docs.generate` makes them."""
    assert PAGES["settings.md"] == settings.page()
    assert PAGES["figures.md"] == figures.page(RESULTS)


def test_every_setting_has_its_line():
    assert set(re.findall(r"^\| `(--[a-z.-]+)`", PAGES["settings.md"], re.MULTILINE)) == set(KNOWN)


def test_the_tutorial_shows_what_the_notebook_holds(tmp_path):
    notebook = ROOT / "examples" / "tutorial.ipynb"
    page = tutorial.page(notebook, tmp_path)
    pictures = re.findall(r"\]\(images/(.+?)\)", page)
    assert pictures
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    for cell in json.loads(notebook.read_text())["cells"]:
        assert "".join(cell["source"]).rstrip() in page
    assert "$" not in re.sub(r"```.*?```", "", page, flags=re.DOTALL), "nothing sets formulas"


@pytest.mark.parametrize("name", WRITTEN)
def test_sentences_are_short(name):
    prose = re.sub(r"```.*?```|<!--.*?-->", "\n\n", PAGES[name], flags=re.DOTALL)
    lines = [re.sub(r"^\s*(-|\d+\.) ", "\n\n", line) for line in prose.splitlines()]
    prose = "\n".join(line for line in lines if not line.startswith(("|", "#", "!", ":::")))
    prose = re.sub(r"`[^`]*`", "x", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose))
    sentences = re.split(r"(?<=[.!?:;])\s+|\n\s*\n", prose)
    assert [sentence for sentence in sentences if len(sentence.split()) > SENTENCE] == []


FLAGS = [(name, flags) for name, text in PAGES.items() for flags in re.findall(r"`(--[a-z][^`]*)`", text)]
OTHERS = {"--run-dir", "--preset", "--import", "--live", "--help", "--help-all", "--episodes", "--max-steps"}
LIBRARIES = "coming-from.md"


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """Here are the file that a page shows, and a module of the same class."""
    (text,) = re.findall(r"```py\n(.*?)```", PAGES["environments.md"], re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("my_envs", "my_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)  # one of another test
        (tmp_path / f"{name}.py").write_text(f"{text}\nMyWrapper = gymnasium.Wrapper\n")


@pytest.mark.usefixtures("own_files")
def test_flags_in_the_text_are_flags_with_such_values(tmp_path, capsys):
    """All at once for each page; only what is added here is wrong."""
    ours = [(name, flags) for name, flags in FLAGS if name != LIBRARIES and name != "settings.md"]
    assert len(ours) > 80
    for name, flags in ours:
        words = shlex.split(flags)
        named = [word for word in words if word.startswith("--") and word not in OTHERS]
        assert all(word in KNOWN or word.startswith("--env-kwargs.") for word in named if "." in word), (name, flags)
        given = [word for word in named if word in KNOWN]
        if given and given == named and "..." not in flags and (len(words) > 1 or KNOWN[given[0]] is False):
            code = cli.main(["train", *words, "--seed", "-1", "--run-dir", str(tmp_path / "run")])
            (line, *more) = capsys.readouterr().err.splitlines()
            assert (code, more) == (2, []), (name, flags, more)
            assert line == "ddpg-jax: error: seed = -1 must be in [0, 2147483647]", (name, flags, line)


def test_flags_beside_those_of_other_libraries_are_ours():
    rows = [line.split("|")[2] for line in PAGES[LIBRARIES].splitlines() if line.startswith("| ")]
    named = {flag for right in rows for flag in re.findall(r"(--[a-z-]+\.[a-z-]+)", right)}
    assert len(named) > 25
    assert named <= set(KNOWN)


def named_by_others(left):
    """Options and arguments in a cell of another library's column."""
    for code in re.findall(r"`([^`]+)`", left):
        if code.startswith("-"):
            yield from re.findall(r"(?<!\S)--?[a-z][a-z-]*", code)
        else:
            words = re.split(r", | \* ", code)
            yield from ("--" + word.partition("=")[0] for word in words if re.fullmatch(r"[a-z_]+(=[\d.]+)?", word))


def test_the_command_answers_names_of_other_libraries_as_this_page_does():
    known, answered = [*KNOWN, "--preset", "--run-dir", "--import"], 0
    for left, right in (line.split("|")[1:3] for line in PAGES[LIBRARIES].splitlines() if line.startswith("| ")):
        for name in named_by_others(left):
            answer = named_flags(remedy(name, known, "train")) - {"--help"}  # of `train` alone; others have more flags
            assert answer <= named_flags(right), (name, right)
            answered += bool(answer)
    assert answered > 60


COMMANDS = [
    (name, shlex.split(line, comments=True)[1:])
    for name, text in PAGES.items()
    for block in re.findall(r"```(?:bash)?\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("ddpg-jax ")
]


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda value: " ".join(value)[:50])
@pytest.mark.usefixtures("own_files")
def test_commands_are_understood(page, words, capsys):
    """Trainings are refused for the seed that is added here, and all others since there is no such run."""
    words = words[: words.index("||")] if "||" in words else words
    if words in (["presets"], ["doctor"]):
        assert cli.main(words) == 0
        return
    assert cli.main([*words, "--seed", "-1"] if words[0] == "train" else words) == 2
    error = capsys.readouterr().err
    assert re.search(r"seed = -1 must be|holds no run|cannot be (read|written)", error), error


PYTHON = [
    (name, block) for name, text in WRITTEN.items() for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
]


@pytest.mark.parametrize(("page", "block"), PYTHON)
def test_examples_in_python_run(page, block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "tests" / "runs" / "interop" / "sb3" / "ddpg.zip", tmp_path / "model.zip")
    exec(compile(block, page, "exec"), {})  # noqa: S102
    assert re.search(r"[a-z]+ -?\d", capsys.readouterr().out), "each prints a figure"


def functions_of(path):
    """Names that a file defines, `function.inner` and `Class.field` among them."""
    tree = ast.parse((ROOT / "ddpg_jax" / path).read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef) and inner is not node:
                    yield f"{node.name}.{inner.name}"
                if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                    yield f"{node.name}.{inner.target.id}"


def test_the_functions_beside_the_pseudocode_are_there():
    rows = re.findall(r"^\| .* \| `([\w/]+\.py)` \| (.*) \|$", PAGES["algorithm.md"], re.MULTILINE)
    assert len(rows) > 25
    for path, text in rows:
        named = re.findall(r"`([\w.]+)`", re.sub(r"of `[\w/]+\.py`|calls `[\w.]+`", "", text))
        named = [name for name in named if name != "first"]
        below = set(functions_of(path)) | set(functions_of("agent/losses.py") if "losses" in text else ())
        assert named
        assert set(named) <= below, (path, set(named) - below)


def test_each_option_has_its_flags_paper_use_and_equation():
    sections = PAGES["options.md"].split("\n## ")[1:]
    assert len(sections) > 12
    for section in sections:
        assert re.findall(r"\*\*(.+?):\*\*", section)[:3] == ["Flags", "Paper", "When it helps"], section[:40]
        assert "```text" in section, section[:40]


def test_each_verdict_has_a_section_that_names_its_remedies():
    sections = {part.partition("\n")[0].lower(): part for part in PAGES["troubleshooting.md"].split("\n## ")[1:]}
    kinds = re.findall(r'"([a-z ]+)"', verdict.Verdict.__doc__.split("headline")[0])
    assert set(kinds) <= set(sections)
    suggested = {
        "diverging critic": remedies.DIVERGING, "saturated actor": remedies.SATURATED,
        "dead exploration": remedies.UNEXPLORED, "plateau": (*remedies.STUCK, *remedies.FORGOTTEN),
        "too few steps": remedies.SHORT,
    }  # fmt: skip
    assert {*suggested, "learning"} == set(kinds)
    for kind, candidates in suggested.items():
        flags = {"--" + name.replace("_", "-") for name, _ in candidates}
        assert [flag for flag in flags if f"`{flag}" not in sections[kind]] == [], kind


def test_thresholds_of_the_verdicts_are_those_of_the_code():
    text = PAGES["troubleshooting.md"]
    assert f"more than {verdict.SKIPPED:.0%}".replace("%", " %") in text
    assert f"more than {verdict.EXPLODED:g} times" in text
    assert f"More than {verdict.SATURATED:.0%}".replace("%", " %") in text
    assert f"below {verdict.NARROW:g}" in text
    assert f"fewer than {verdict.FIRST_UPDATES:,} updates" in text
    assert f"Up to {verdict.ENOUGH_UPDATES:,} updates, or {verdict.FAIR_SHARE:.0%}".replace("%", " %") in text


def test_exit_codes_are_those_of_the_command_line():
    codes = (
        errors.DONE, errors.INPUT_ERROR, errors.ENV_FAULT, errors.NUMERICAL_FAULT, errors.STORAGE_FAULT,
        errors.STOPPED, cli.INTERRUPTED,
    )  # fmt: skip
    table = PAGES["durability.md"].split("## Exit codes")[1]
    assert tuple(map(int, re.findall(r"^\| (\d+) \|", table, re.MULTILINE))) == codes

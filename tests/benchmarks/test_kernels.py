"""Whose kernels a benchmark measures is settled before it begins."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import types

import pytest

from benchmarks import kernels, measure, report
from ddpg_jax.native import interface as ffi
from ddpg_jax.native import library

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = (ROOT / "benchmarks").rglob("*.py")
MEASURING = [path for path in SCRIPTS if re.search(r"\bwrite\((args|options), ", path.read_text())]
on_x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="there are kernels for x86")


@pytest.fixture
def changed(monkeypatch):
    """A function that makes this process one without kernels, on x86, for a reason."""
    monkeypatch.setenv(library.SWITCH, "1")  # so that it is as before afterwards
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    unsupported = library.Library("none", types.SimpleNamespace(ddpg_jax_supported=lambda: 0))
    changes = {
        "not compiled": [(library, "BUILDS", ())],
        "unknown": [(library, "is_known", lambda: False), (ffi, "is_known", lambda: False)],
        "nothing": [],
        "no CPU": [(library.jax, "default_backend", lambda: "tpu")],
        "no x86": [(platform, "machine", lambda: "arm64"), (library, "BUILDS", ())],
        "lacking": [(library, "open_build", lambda name: unsupported)],
    }

    def change(name):
        for where, what, value in changes[name]:
            monkeypatch.setattr(where, what, value)
        if name != "no CPU":  # there are kernels then, which are registered once
            monkeypatch.setattr(library, "load", library.load.__wrapped__)

    return change


@pytest.mark.filterwarnings("ignore:jaxlib")  # which also says what is lost
@pytest.mark.parametrize(
    ("change", "reason"), [("not compiled", "none of this package's can be loaded from "), ("unknown", "jaxlib 0.")]
)
def test_where_kernels_belong_and_are_missing_nothing_is_measured(changed, change, reason, capsys):
    changed(change)
    with pytest.raises(SystemExit) as end:
        kernels.settle("auto")
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert error.startswith(f"benchmarks: error: {reason}")
    assert error.endswith("; --kernels xla measures XLA's\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize("change", ["lacking", "no CPU", "no x86"])
def test_where_they_do_not_belong_xlas_are_measured(changed, change):
    changed(change)
    kernels.settle("auto")
    assert library.name() == "xla"


@pytest.mark.parametrize("change", ["nothing", "not compiled", "unknown"])
def test_xlas_are_measured_where_they_are_asked_for(changed, change):
    changed(change)
    kernels.settle("xla")
    assert library.name() == "xla"
    assert os.environ[library.SWITCH] == "0", "in processes that are started from here, too"


def test_the_switch_of_the_environment_asks_for_xlas_too(changed, monkeypatch):
    changed("not compiled")
    monkeypatch.setenv(library.SWITCH, "0")
    kernels.settle("auto")
    assert library.name() == "xla"


@on_x86
def test_a_clone_that_was_not_installed_in_place_ends_before_the_first_script(tmp_path):
    """`pip install .` compiles kernels elsewhere, while `python -m benchmarks` imports the folder."""
    for folder in ("ddpg_jax", "benchmarks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.so", "results"))
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "benchmarks", "--only", "update", "replay", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=variables, timeout=120)
    assert done.returncode == 2
    assert f"can be loaded from {tmp_path}/ddpg_jax/native (in a clone, pip install -e . compiles" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "benchmarks" / "results").exists()


@pytest.mark.parametrize("path", MEASURING, ids=lambda path: path.stem)
def test_every_script_that_measures_settles_whose_kernels(path):
    assert "kernels.parse(" in path.read_text() or "kernels.settle(" in path.read_text()


def test_figures_are_written_with_the_kernels_that_ran(tmp_path):
    assert measure.machine()["kernels"] == library.name()
    section = {"command": "python -m benchmarks.update", **measure.machine(), "results": []}
    out = tmp_path / "here.json"
    older = {name: value for name, value in section.items() if name != "kernels"}
    out.write_text(json.dumps({"sections": {"update": section, "replay": older}}))
    assert f"kernels {library.name()}, Python " in report.build(out).read_text()

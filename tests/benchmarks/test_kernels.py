"""Whose kernels a benchmark measures is settled before it begins."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

import pytest

from benchmarks import measure, report
from ddpg_jax.kernels import library

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = (ROOT / "benchmarks").rglob("*.py")
MEASURING = [path for path in SCRIPTS if re.search(r"\bwrite\((args|options), ", path.read_text())]
on_x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="there are kernels for x86")

SETTLED = """
import platform
from ddpg_jax.kernels import library
from benchmarks import kernels
platform.machine = lambda: "x86_64"
{change}
kernels.settle({choice!r})
print(library.name())
"""
MISSING = "library.BUILDS = ()"
UNKNOWN = "from ddpg_jax import ffi; ffi.is_known = library.is_known = lambda: False"
LACKING = (
    "import types; no = types.SimpleNamespace(ddpg_jax_supported=lambda: 0)\n"
    "library.open_build = lambda name: library.Library(name, no)"
)


def settle(change, choice, **variables):
    script = SETTLED.format(change=change, choice=choice)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=os.environ | variables
    )


@pytest.mark.parametrize(
    ("change", "reason"), [(MISSING, "none of this package's can be loaded from "), (UNKNOWN, "jaxlib 0.")]
)
def test_where_kernels_belong_and_are_missing_nothing_is_measured(change, reason):
    done = settle(change, "auto")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"benchmarks: error: {reason}")
    assert done.stderr.endswith("; --kernels xla measures XLA's\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "change", [LACKING, "library.jax.default_backend = lambda: 'tpu'", "platform.machine = lambda: 'arm64'\n" + MISSING]
)
def test_where_they_do_not_belong_xlas_are_measured(change):
    done = settle(change, "auto")
    assert (done.returncode, done.stdout) == (0, "xla\n"), done.stderr


@pytest.mark.parametrize("change", ["", MISSING, UNKNOWN])
def test_xlas_are_measured_where_they_are_asked_for(change):
    done = settle(change, "xla")
    assert (done.returncode, done.stdout) == (0, "xla\n"), done.stderr


def test_the_switch_of_the_environment_asks_for_xlas_too():
    assert settle("", "auto", DDPG_JAX_NATIVE="0").stdout == "xla\n"


@on_x86
def test_a_clone_that_was_not_installed_in_place_ends_before_the_first_script(tmp_path):
    """`pip install .` compiles kernels elsewhere, while `python -m benchmarks` imports the folder."""
    for folder in ("ddpg_jax", "benchmarks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.so", "results"))
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "benchmarks", "--only", "update", "replay", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=variables, timeout=120)
    assert done.returncode == 2
    assert f"can be loaded from {tmp_path}/ddpg_jax/kernels (in a clone, pip install -e . compiles" in done.stderr
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

"""What `ddpg-jax doctor` says of a machine, and what it says to do."""

import jax
import pytest

from ddpg_jax.native import interface, library
from ddpg_jax.runs.console import cli
from ddpg_jax.runs.machine import diagnosis


def test_the_command_names_all_that_computes(capsys):
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    subjects = [line.split()[0] for line in printed.splitlines() if not line.startswith(" ")]
    assert subjects == ["ddpg_jax", "processor", "threads", "kernels", "interface", "cache", "memory", "GPU"]
    assert library.name() in printed or "XLA's" in printed
    assert jax.__version__ in printed


@pytest.mark.parametrize(("threads", "limit", "remedy"), [
    (2, None, ""),
    (2, 2.0, ""),
    (1, 0.5, ""),
    (64, 2.0, "NPROC=2 "),
    (64, 2.5, "NPROC=2 "),
    (2, 0.5, "NPROC=1 "),
])  # fmt: skip
def test_more_threads_than_a_container_may_run_are_too_many(threads, limit, remedy):
    found = diagnosis.diagnose_threads(threads, limit)
    assert remedy in found.remedy
    assert bool(found.remedy) == bool(remedy)


def test_a_cache_that_cannot_be_written_costs_each_start(tmp_path):
    assert "JAX_COMPILATION_CACHE_DIR" in diagnosis.diagnose_cache(None).remedy
    (tmp_path / "program").write_bytes(bytes(2**20))
    assert diagnosis.diagnose_cache(tmp_path) == ("cache", f"{tmp_path}, 1 files of 1 MiB", "")


@pytest.mark.parametrize(("has_driver", "remedy"), [(False, ""), (True, "pip install 'jax[cuda13]'")])
def test_a_gpu_that_jax_does_not_use_is_named(has_driver, remedy):
    assert diagnosis.diagnose_gpu("cpu", has_driver).remedy == remedy


def test_kernels_that_a_person_turned_off_need_no_remedy(monkeypatch):
    monkeypatch.setattr(diagnosis.library, "why_not", lambda: "they are off")
    monkeypatch.setenv(library.SWITCH, "0")
    assert diagnosis.diagnose_kernels() == ("kernels", "XLA's, since they are off", "")
    monkeypatch.delenv(library.SWITCH)
    assert "docs/kernels.md" in diagnosis.diagnose_kernels().remedy


def test_an_interface_that_is_not_known_needs_another_jax(monkeypatch, request):
    assert diagnosis.diagnose_interface().remedy == ""
    monkeypatch.setattr(interface, "installed", lambda: (0, 9))
    assert diagnosis.diagnose_interface().remedy == "pip install 'jax>=0.10,<0.13'"
    assert '"jax>=0.10,<0.13"' in (request.config.rootpath / "pyproject.toml").read_text()

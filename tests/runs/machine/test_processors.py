"""Processors and their limits, with control groups that are not here."""

import pytest

from ddpg_jax.runs.machine import processors


def write_group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("cpu_", "cpu.", 1)).write_text(f"{text}\n")


@pytest.fixture
def places(tmp_path):
    return tmp_path / "cgroup", tmp_path / "fs"


def test_the_least_limit_of_the_groups_of_v2_counts(places):
    membership, root = places
    membership.write_text("0::/pod/run\n")
    write_group(root / "pod/run", cpu_max="max 100000")
    assert processors.processor_limit(*places) is None
    write_group(root / "pod", cpu_max="150000 100000")
    assert processors.processor_limit(*places) == 1.5


def test_the_groups_of_v1_lie_below_their_controller(places):
    membership, root = places
    membership.write_text("4:memory:/run\n1:cpu,cpuacct:/run\n")
    write_group(root / "cpu/run", cpu_cfs_quota_us=-1, cpu_cfs_period_us=100000)
    assert processors.processor_limit(*places) is None
    write_group(root / "cpu", cpu_cfs_quota_us=200000, cpu_cfs_period_us=100000)
    assert processors.processor_limit(*places) == 2


def test_without_groups_there_is_no_limit(places):
    assert processors.processor_limit(*places) is None


@pytest.mark.parametrize(("given", "threads"), [("", None), ("3", 3), ("many", None), ("0", None)])
def test_xla_begins_as_many_threads_as_there_are_processors_or_as_it_is_told(monkeypatch, given, threads):
    monkeypatch.setenv("NPROC", given)
    assert processors.num_xla_threads() == (threads or processors.num_processors())


def test_a_processor_has_a_name_of_its_own(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Some Processor 9\n")
    assert processors.processor_name(file) == "Some Processor 9"
    assert processors.processor_name(tmp_path / "missing") == processors.platform.processor()

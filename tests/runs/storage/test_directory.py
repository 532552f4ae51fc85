import json
import os
import pathlib
import subprocess
import sys

import pytest

from ddpg_jax.config import Config, ConfigError
from ddpg_jax.runs.storage.directory import LARGEST, METRICS, SETTINGS, check_new, create_run, lock_run, read_run


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run", Config(seed=7), "pendulum")


def test_settings_come_back_as_they_were(run):
    found = read_run(run)
    assert found.config == Config(seed=7)
    assert set(found.versions) >= {"python", "jax", "orbax-checkpoint", "gymnasium", "ddpg_jax", "cores"}
    assert sorted(file.name for file in run.parent.iterdir()) == ["run"], "nothing unfinished stays"


@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_what_exists_is_never_written_over(tmp_path, there):
    path = tmp_path / "run"
    {"file": path.touch, "folder": path.mkdir, "link": lambda: path.symlink_to(tmp_path / "nowhere")}[there]()
    for refuse in (check_new, lambda path: create_run(path, Config(), "pendulum")):
        with pytest.raises(ConfigError, match="exists; choose another --run-dir, or continue it: ddpg-jax resume"):
            refuse(path)


@pytest.mark.parametrize("parent", ["/proc", "/sys/kernel"])
def test_a_place_that_takes_no_files_is_refused_before_anything_runs(parent):
    with pytest.raises(ConfigError, match="cannot be made"):
        create_run(pathlib.Path(parent, "run"), Config(), "pendulum")


def test_below_a_file_nothing_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be made: .*/file: Not a directory"):
        check_new(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ('{"config": 3}', "settings must be given by name, not as 3"),
        ('{"config": {}, "versions": 3}', "is damaged"),
        (" " * (LARGEST + 1), "larger than 1,048,576 bytes"),
        ('{"config": {"agent": {"tau": 2}}}', r"config.json: agent.tau = 2 must be in \(0, 1\]"),
        ('{"config": {"agent": {"taw": 2}}}', "config.json: agent.taw is no setting; did you mean 'tau'"),
        ('{"config": {"env": "os:System-v0"}}', "'os:System-v0', which is not registered here"),
        ('{"config": {"env": "Unheard-v0"}}', "'Unheard-v0', which is not registered here"),
        ('{"config": {"env": "gymnax/Unheard-v0"}}', "'gymnax/Unheard-v0', which is not registered here"),
        ('{"config": {"env": "gymnax/Unheard-v0"}}', r"pip install 'ddpg_jax\[gymnax\]' has those of its family"),
        ('{"config": {"env": "FetchUnheard-v0"}}', r"pip install 'ddpg_jax\[robotics\]' has those of its family"),
        (
            '{"config": {"env": "Unheard-v0"}}',
            "trust registers it: ddpg-jax resume .* --import MODULE$",
        ),
        (
            '{"config": {"env": "os:System-v0"}}',
            "trust registers it: ddpg-jax resume .* --import os$",
        ),
        (
            '{"config": {"env": "o s:System-v0"}}',
            "trust registers it: ddpg-jax resume .* --import MODULE$",
        ),
        (
            '{"config": {"env": "X-v0"}, "imports": ["a.b", "c"]}',
            "registers it: ddpg-jax .* --import a.b --import c$",
        ),
    ],
)
def test_settings_from_a_file_are_data_and_checked(tmp_path, text, message):
    (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_run(tmp_path)


def test_a_module_named_in_a_file_is_not_imported(tmp_path):
    (tmp_path / SETTINGS).write_text(json.dumps({"config": {"env": "antigravity:System-v0"}}))
    with pytest.raises(ConfigError):
        read_run(tmp_path)
    assert "antigravity" not in sys.modules


def test_a_link_is_not_followed(run, tmp_path):
    (run / SETTINGS).rename(tmp_path / "elsewhere")
    (run / SETTINGS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is a link"):
        read_run(run)


@pytest.mark.parametrize("name", [METRICS, "lock", "checkpoints"])
def test_nothing_is_written_through_a_link(run, tmp_path, name):
    target = tmp_path / "theirs"
    target.write_text("precious")
    (run / name).symlink_to(target)
    with pytest.raises(ConfigError, match="is a link; it is not followed"), lock_run(run):
        pass
    assert target.read_text() == "precious"


def test_a_second_writer_is_refused_and_told_who_the_first_is(run):
    program = "import pathlib, sys, ddpg_jax.runs.storage.directory as d\nwith d.lock_run(pathlib.Path(sys.argv[1])): 0"
    with lock_run(run):
        second = subprocess.run([sys.executable, "-c", program, run], capture_output=True, text=True, check=False)
        assert f"{run} is being written by process {os.getpid()} on " in second.stderr
    second = subprocess.run([sys.executable, "-c", program, run], capture_output=True, text=True, check=False)
    assert second.returncode == 0, "a lock ends with its process"

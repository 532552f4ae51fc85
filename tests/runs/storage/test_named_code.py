"""What a person names again for a run, beside what the run's settings say."""

import pytest

from ddpg_jax.config import Config, ConfigError
from ddpg_jax.envs.own_code import NAMED
from ddpg_jax.runs.storage.directory import command
from ddpg_jax.runs.storage.named_code import Named, unknown_code, with_names

CONFIG = Config("my_envs.py:MyEnv", wrappers=("FlattenObservation", 'a/wraps.py:Scaled {"factor": 2}', "m:W", "m:W"))


def test_a_command_names_all_code_once(tmp_path):
    line = command("resume", tmp_path, ("my_worlds",), CONFIG)
    assert line == (
        f"ddpg-jax resume {tmp_path} --import my_worlds --env my_envs.py:MyEnv --wrappers a/wraps.py:Scaled m:W"
    )
    assert command("resume", tmp_path, (), Config()) == f"ddpg-jax resume {tmp_path}"


def test_names_follow_a_file_that_was_moved_and_arguments_stay():
    found = with_names(CONFIG, Named((), "/b/my_envs.py:MyEnv", ("b/wraps.py:Scaled", "FlattenObservation")))
    assert found.env == "/b/my_envs.py:MyEnv"
    assert found.wrappers == ("FlattenObservation", 'b/wraps.py:Scaled {"factor": 2}', "m:W", "m:W")
    assert with_names(CONFIG, Named()) == CONFIG


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (Named(env="my_envs.py:Other"), "the run was trained in 'my_envs.py:MyEnv', not in 'my_envs.py:Oth"),
        (Named(wrappers=("wraps.py:Other",)), r"the run has no wrapper 'wraps.py:Other'; its wrappers are \['Flatten"),
    ],
)
def test_what_the_run_does_not_have_is_refused(named, message):
    with pytest.raises(ConfigError, match=message):
        with_names(CONFIG, named)


def test_code_is_unknown_until_a_person_names_it(monkeypatch):
    assert unknown_code(CONFIG, Named()) == ["my_envs.py:MyEnv", "a/wraps.py:Scaled", "m:W"]
    monkeypatch.setitem(NAMED, "m:W", dict)
    monkeypatch.setitem(NAMED, "my_envs.py:MyEnv", dict)
    assert unknown_code(CONFIG, Named()) == ["a/wraps.py:Scaled"]
    assert unknown_code(Config(), Named()) == []

"""The table of suites: which ids are of which, and what is said where a package is missing. None need be installed."""

import importlib.util
import pathlib
import sys
import tomllib

import pytest

from ddpg_jax import envs
from ddpg_jax.envs.suites import SUITES, find_suite, remedy

EXAMPLES = {
    "gymnax/Pendulum-v1": "gymnax",
    "playground/CheetahRun": "playground",
    "brax/ant": "brax",
    "envpool/HalfCheetah-v4": "envpool",
    "dmc/cartpole-swingup": "dmc",
    "metaworld/reach-v3": "metaworld",
    "FetchReach-v4": "robotics",
    "parking-v0": "highway",
}
# What the module of each imports first.
PACKAGES = {
    "playground": "mujoco_playground",
    "brax": "brax",
    "envpool": "envpool",
    "dmc": "shimmy",
    "metaworld": "metaworld",
    "highway": "highway_env",
}


@pytest.mark.parametrize("env_id", EXAMPLES)
def test_each_id_is_of_one_suite_whose_extra_and_module_are_there(env_id):
    (suite,) = [suite for suite in SUITES if env_id.startswith(suite.begins)]
    assert suite is find_suite(env_id)
    assert suite.extra == envs.package_of(env_id) == EXAMPLES[env_id]
    extras = tomllib.loads((pathlib.Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert suite.extra in extras["optional-dependencies"]
    assert importlib.util.find_spec(suite.module)


def test_every_suite_has_an_example():
    assert sorted(EXAMPLES.values()) == sorted(suite.extra for suite in SUITES)
    assert all(suite.module.startswith("ddpg_jax.envs.") for suite in SUITES), "and no other is imported by its name"
    assert find_suite("Pendulum-v1") is None


@pytest.mark.parametrize("env_id", [env_id for env_id, extra in EXAMPLES.items() if extra in PACKAGES])
def test_where_its_package_is_missing_the_message_says_what_to_install(env_id, monkeypatch):
    suite = find_suite(env_id)
    monkeypatch.setitem(sys.modules, PACKAGES[suite.extra], None)
    for name in [name for name in sys.modules if name.startswith(suite.module)]:
        monkeypatch.delitem(sys.modules, name)
    unknown = f"{env_id}-nowhere"
    with pytest.raises(envs.EnvError) as raised:
        envs.make(unknown)
    assert f"'{unknown}' needs {suite.package}: pip install 'ddpg_jax[{suite.extra}]'" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not envs.registered(unknown)
    assert envs.newest(unknown) == unknown


def test_what_cannot_share_a_python_environment_is_named():
    assert remedy(find_suite("gymnax/")) == "pip install 'ddpg_jax[gymnax]'"
    apart = ", in a Python environment without [metaworld], [robotics]: they need another mujoco"
    assert remedy(find_suite("playground/CheetahRun")) == f"pip install 'ddpg_jax[playground]'{apart}"
    for other in ("[playground]", "[brax]", "[dmc]", "[metaworld]"):
        assert other in remedy(find_suite("FetchReach-v4"))


def test_a_module_in_an_id_of_a_suite_is_never_imported(tmp_path, monkeypatch):
    (tmp_path / "marker.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for env_id in ("dmc/marker:cartpole-swingup-v0", "parking-marker:parking-v0", "envpool/marker:HalfCheetah-v4"):
        assert not envs.registered(env_id)
    assert "marker" not in sys.modules

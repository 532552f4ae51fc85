"""Names of a person's own code: what is one, what it stands for, and that it is only looked up afterwards."""

import sys

import own_worlds
import pytest

from ddpg_jax import envs
from ddpg_jax.envs.own_code import find_code, is_place, look_up, name_code, names_code, same_code


@pytest.fixture
def folder(tmp_path, monkeypatch):
    own_worlds.write(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    own_worlds.forget()
    yield tmp_path
    own_worlds.forget()


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("my_envs.py:MyEnv", True),
        ("../a b/my_envs.py:MyEnv", True),
        ("package.module:Outer.Inner", True),
        ("module:Name-v0", False),
        ("Pendulum-v1", False),
        ("gymnax/a:b", False),
        ("my_envs.py:", False),
        (":MyEnv", False),
        ("a\nb.py:MyEnv", False),
        ("a;b:MyEnv", False),
        ("", False),
    ],
)
def test_a_name_of_code_is_a_place_and_a_name_in_it(name, is_one):
    assert names_code(name) is is_one


@pytest.mark.parametrize(
    ("name", "is_one"), [("a.b", True), ("a/b.py", True), ("a b", False), (3, False), ("a.", False)]
)
def test_a_place_is_a_module_or_a_file(name, is_one):
    assert is_place(name) is is_one


def test_code_is_the_same_wherever_its_file_lies():
    assert same_code("my_envs.py:MyEnv", "/other/my_envs.py:MyEnv")
    assert not same_code("my_envs.py:MyEnv", "my_envs.py:Other")
    assert not same_code("Pendulum-v1", "Pendulum-v1")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["my_envs.py:MyEnv", "my_envs:MyEnv", "./my_envs.py:MyEnv"])
def test_only_what_a_person_named_can_be_looked_up(name):
    with pytest.raises(envs.EnvError, match="is code, which is imported only where a person names it"):
        envs.make(name)
    assert "my_envs" not in sys.modules
    assert not envs.registered(name)
    name_code(name)
    assert envs.registered(name)
    assert look_up(name) is sys.modules["my_envs"].MyEnv
    env = envs.make(name, 2)
    assert env.num_envs == 2
    env.close()


def test_a_file_elsewhere_finds_those_beside_it(folder, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert find_code(f"{folder}/my_factory.py:make") is sys.modules["my_factory"].make
    assert find_code(f"{folder}/my_factory.py:no_such") is None


def test_a_file_is_not_taken_for_another_of_its_name(folder):
    find_code("my_envs.py:MyEnv")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "my_envs.py").write_text("MyEnv = dict\n")
    with pytest.raises(envs.EnvError, match=r"'my_envs' is another module \(.*/my_envs.py\); rename the file"):
        find_code("deeper/my_envs.py:MyEnv")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("named", "kept"),
    [
        ("my_worlds:MyOwn", "MyOwn-v0"),
        ("my_worlds.py:MyOwn-v0", "MyOwn-v0"),
        ("my_envs:MyEnv", "my_envs:MyEnv"),
        ("my_envs.py:MyEnv", "my_envs.py:MyEnv"),
    ],
)
def test_an_id_comes_before_code_of_another_name(named, kept):
    assert envs.resolve(named) == kept


@pytest.mark.usefixtures("folder")
def test_a_name_without_its_version_is_resolved_first():
    with pytest.raises(envs.EnvError, match=r"or ask ddpg_jax\.envs\.resolve for the name first"):
        envs.make("my_worlds:MyOwn")
    envs.make(envs.resolve("my_worlds:MyOwn")).close()


@pytest.mark.usefixtures("folder")
def test_a_class_that_is_registered_under_its_name_is_meant_by_its_id():
    """So it was before classes could be named, and the id has a limit on steps."""
    envs.import_modules(["my_worlds"])
    assert envs.resolve("my_envs:MyEnv") == "MyEnv-v3"

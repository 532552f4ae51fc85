"""Each public name says what it is: arguments, shapes, units, errors and source; and stands in the API reference."""

import ast
import dataclasses
import importlib
import inspect
import pathlib
import re
import textwrap

import pytest

import ddpg_jax
from docs.generate.settings import described

REFERENCE = pathlib.Path(__file__).parents[2] / "docs" / "reference"
# Names of modules that are not in `ddpg_jax.__all__`.
FURTHER = {
    "ddpg_jax.envs": [name for name in ddpg_jax.envs.__all__ if name not in ("GYMNAX", *ddpg_jax.__all__)],
    "ddpg_jax.envs.gymnasium": ["make", "from_factory", "make_one", "episode_seed"],
    "ddpg_jax.envs.gymnax": ["make", "from_gymnax"],
    "ddpg_jax.envs.brax_interface": ["from_brax"],
    "ddpg_jax.presets": ["Preset"],
    "ddpg_jax.runs": ddpg_jax.runs.__all__,
    "ddpg_jax.runs.interop.stable_baselines3": ["load_stable_baselines3", "ImportedPolicy"],
    "ddpg_jax.runs.export.load_policy": ["load_policy"],
    "ddpg_jax.runs.console.cli": ["main"],
}
NAMES = [f"ddpg_jax.{name}" for name in ddpg_jax.__all__ if name not in ("envs", "runs")]
NAMES += [f"{module}.{name}" for module, names in FURTHER.items() for name in names]
# What implements a paper's line says which.
FROM_PAPERS = {"ddpg", "gaussian", "ornstein_uhlenbeck", "parameter_noise", "make_replay", "mlp_networks"}
# Words of which one is in the description of what has such a name.
UNITS = {
    "action": ("[-1, 1]", "unit"),
    "reward": ("unit",),
    "returns": ("unit",),
    "stddev": ("half the action range",),
}


def find(name):
    module, _, last = name.rpartition(".")
    if module == "ddpg_jax.envs.gymnax":
        pytest.importorskip("gymnax")
    return getattr(importlib.import_module(module), last)


def is_tuple(thing):
    return inspect.isclass(thing) and issubclass(thing, tuple)


FUNCTIONS = [name for name in NAMES if inspect.isfunction(find(name))]
TUPLES = [name for name in NAMES if is_tuple(find(name))]
DATACLASSES = [name for name in NAMES if dataclasses.is_dataclass(find(name))]
EXCEPTIONS = ["ddpg_jax.ConfigError", "ddpg_jax.EnvError"]


def section(thing, title):
    """Entries of one section of a docstring in Google's style, `{name: text}`."""
    doc = inspect.getdoc(thing) or ""
    found = re.search(rf"^{title}:\n((?:    .*\n?|\n(?=    ))*)", doc + "\n", re.MULTILINE)
    entries = re.split(r"^    (?=\S)", found[1], flags=re.MULTILINE)[1:] if found else []
    return {entry.partition(":")[0].strip("*"): " ".join(entry.partition(":")[2].split()) for entry in entries}


def tree_of(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def test_every_name_is_of_one_kind():
    assert sorted(FUNCTIONS + TUPLES + DATACLASSES + EXCEPTIONS) == sorted(NAMES)


def test_the_reference_lists_exactly_these():
    listed = [
        name for page in sorted(REFERENCE.glob("*.md")) for name in re.findall(r"^::: (\S+)", page.read_text(), re.M)
    ]
    assert sorted(listed) == sorted(NAMES)
    index = (REFERENCE / "index.md").read_text()
    assert [name for name in ddpg_jax.__all__ if not re.search(rf"\b{name}\b", index) and "Config" not in name] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_with_a_sentence(name):
    first = (inspect.getdoc(find(name)) or "").partition("\n\n")[0]
    assert first.endswith((".", ":")), first
    assert len(first.split()) > 3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_described(name):
    parameters = list(inspect.signature(find(name)).parameters)
    described_there = section(find(name), "Args")
    assert list(described_there) == parameters or (len(parameters) <= 1 and not described_there)
    assert all(described_there.values())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_raised_is_described(name):
    function = find(name)
    nodes = [node for node in ast.walk(tree_of(function)) if isinstance(node, ast.Raise) and node.exc]
    raised = {getattr(getattr(node.exc, "func", node.exc), "id", "") for node in nodes}
    called = {getattr(node.func, "id", "") for node in ast.walk(tree_of(function)) if isinstance(node, ast.Call)}
    raised |= {error for call, error in (("validate", "ConfigError"), ("check_env", "EnvError")) if call in called}
    documented = set(section(function, "Raises"))
    assert {error for error in raised if error.endswith("Error")} <= documented
    kinds = {**vars(__import__("builtins")), "ConfigError": ddpg_jax.ConfigError, "EnvError": ddpg_jax.EnvError}
    assert all(issubclass(kinds[error], BaseException) for error in documented)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arrays_and_functions_that_are_returned_are_described(name):
    """What else is returned has a type with a page of its own, or is a word that the first sentence says."""
    returned = str(inspect.signature(find(name)).return_annotation)
    if "Array" in returned or "ndarray" in returned or "Callable" in returned:
        assert "Returns:\n" in find(name).__doc__ or "`[" in find(name).__doc__.partition("\n")[0]


@pytest.mark.parametrize("name", TUPLES)
def test_every_field_is_described_and_arrays_have_shapes(name):
    kind = find(name)
    assert list(section(kind, "Attributes")) == list(kind._fields)
    for field, hint in kind.__annotations__.items():
        text = section(kind, "Attributes")[field]
        assert text, field
        if any(array in str(hint) for array in ("jax.Array'", "ndarray'")) and "Callable" not in str(hint):
            assert re.search(r"`\[.*\]`|scalar", text), (field, text)
        if "Callable" in str(hint):
            assert "`" in text, (field, text)


@pytest.mark.parametrize("name", DATACLASSES)
def test_every_setting_is_described(name):
    kind = find(name)
    sections = [field.name for field in dataclasses.fields(kind) if dataclasses.is_dataclass(field.default)]
    texts = {field.name: text for field, text in described(kind)}
    assert [field.name for field in dataclasses.fields(kind) if field.name not in {*texts, *sections}] == []
    assert all(text.endswith(".") for text in texts.values())


@pytest.mark.parametrize("name", FUNCTIONS + TUPLES)
def test_units_are_said(name):
    thing = find(name)
    entries = {**section(thing, "Args"), **section(thing, "Attributes")}
    for word, units in UNITS.items():
        if word in entries:
            assert any(unit in entries[word] for unit in units), (word, entries[word])


@pytest.mark.parametrize("name", sorted(FROM_PAPERS))
def test_what_comes_from_a_paper_says_which(name):
    doc = inspect.getdoc(find(f"ddpg_jax.{name}"))
    assert re.search(r"^Source: .*\b(19|20)\d\d\b", doc, re.MULTILINE | re.DOTALL)

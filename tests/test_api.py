"""What the package promises as a whole: its names, its weight, its order, and its README."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

import ddpg_jax

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = pathlib.Path(ddpg_jax.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
# What stands on one line knows nothing of each other.
PACKAGES = """
types config
action_bounds packing presets native
kernels callbacks
agent replay envs
training
runs
"""
LAYERS = {name: layer for layer, line in enumerate(PACKAGES.strip().splitlines()) for name in line.split()}

NAMES = """
Agent AgentState Batch CheckpointConfig Config ConfigError DDPGConfig Env EnvError EnvSpec Evaluation
Exploration ExplorationConfig Learner Metrics Network Networks Params Replay ReplayConfig ReplayState Restored
Runner Sample Scale Skipped Timestep TrainConfig Trainer Transition UpdateInfo ddpg envs episode_scale
find_preset flax_network gaussian greedy make_demonstrations make_evaluate make_exploration make_learner
make_replay make_trainer mlp_networks name_fault ornstein_uhlenbeck parameter_noise restart_episodes runs
scale_action smoothed uniform validate
"""


def test_the_public_names_are_these():
    assert sorted(ddpg_jax.__all__) == sorted(NAMES.split())
    assert all(hasattr(ddpg_jax, name) for name in ddpg_jax.__all__)


def test_the_public_names_of_runs_are_these():
    assert sorted(ddpg_jax.runs.__all__) == ["Loaded", "Result", "load", "resume", "train"]
    assert all(hasattr(ddpg_jax.runs, name) for name in ddpg_jax.runs.__all__)
    with pytest.raises(AttributeError, match=r"module 'ddpg_jax\.runs' has no attribute 'trian'"):
        ddpg_jax.runs.trian  # noqa: B018


def test_every_public_function_and_class_says_what_it_is():
    assert [name for name in ddpg_jax.__all__ if not (getattr(ddpg_jax, name).__doc__ or "").strip()] == []


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("gymnasium", "gymnax", "plotly", "rich", "tyro", "orbax", "torch"):
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
import ddpg_jax
"""


def test_the_package_imports_where_its_heavy_friends_are_missing():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def imported(path):
    """Modules of the package that a file imports, as (layer name, line)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ddpg_jax":
            parts = node.module.split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
            yield from ((name, node.lineno) for name in names)


def test_imports_run_downwards_only():
    wrong = []
    for path in SOURCES:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for name, line in imported(path):
            if name != own and own in LAYERS and name in LAYERS and LAYERS[name] >= LAYERS[own]:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {name}")
    assert wrong == []


def test_no_file_uses_pickle_eval_or_assert():
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Assert), path
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"} & set(names), path
            if isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") not in {"eval", "exec", "__import__"}, path


def test_there_is_one_version():
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared
    assert declared[1] == ddpg_jax.__version__


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
def test_the_examples_of_the_readme_run(block, capsys):
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102
    assert re.search(r"[a-z]+ -?\d", capsys.readouterr().out), "each prints a figure"


FORBIDDEN = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "eval", "exec"}
BY_NAME = {"import_module", "resolve_name", "__import__"}
# What a person has typed, and modules of this package that it names itself.
IMPORTS_BY_NAME = {
    PACKAGE / "envs" / "own_code.py": {"resolve_name"},
    PACKAGE / "envs" / "suites.py": {"import_module"},
}


def test_no_source_loads_pickles_or_runs_what_came_from_a_file():
    """Imports, names and attributes; `allow_pickle` may only be False."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = {alias.name.split(".")[0] for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)}
            names |= {
                getattr(node, "id", ""),
                getattr(node, "attr", ""),
                str(getattr(node, "module", "")).split(".")[0],
            }
            forbidden = FORBIDDEN | (BY_NAME - IMPORTS_BY_NAME.get(path, set()))
            assert not names & forbidden, (path, names & forbidden)
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", path


def test_old_names_still_work_and_say_the_new_ones():
    env = ddpg_jax.envs.make("Pendulum-v1")
    with pytest.warns(DeprecationWarning, match=r"Env\.moment is now Env\.describe"):
        assert env.moment == env.describe
    learner = ddpg_jax.make_learner(
        ddpg_jax.ddpg(env.spec, ddpg_jax.DDPGConfig((8,))), ddpg_jax.make_replay(env.spec, ddpg_jax.ReplayConfig(64, 8))
    )
    with pytest.warns(DeprecationWarning, match=r"Learner\.last is now Learner\.token"):
        assert learner.last == learner.token

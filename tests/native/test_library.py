"""Finding the compiled kernels, and doing without them."""

import importlib
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tomllib
import types

import pytest

from ddpg_jax.kernels import mlp
from ddpg_jax.native import library

BUILT = [build for name in library.BUILDS if (build := library.open_build(name))]


@pytest.mark.parametrize("build", BUILT, ids=lambda build: build.name)
def test_a_build_has_every_target(build):
    assert all(hasattr(build.functions, name) for name in (*library.TARGETS, "ddpg_jax_supported"))


def test_a_build_that_is_missing_or_damaged_is_none(tmp_path, monkeypatch):
    assert library.open_build("none") is None
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"no library")
    monkeypatch.setattr(library.importlib.util, "find_spec", lambda name: types.SimpleNamespace(origin=str(damaged)))
    assert library.open_build("damaged") is None


def test_the_name_says_whose_kernels_compute(monkeypatch):
    assert library.name() == (library.load().name if library.are_usable() else "xla")
    monkeypatch.setattr(library.jax, "default_backend", lambda: "gpu")
    assert library.name() == "xla"


@pytest.fixture
def changed(monkeypatch):
    """A function that makes this process one without kernels, for a reason."""
    monkeypatch.delenv(library.SWITCH, raising=False)
    unsupported = library.Library("none", types.SimpleNamespace(ddpg_jax_supported=lambda: 0))
    changes = {
        "not compiled": lambda: monkeypatch.setattr(library, "BUILDS", ()),
        "unknown": lambda: monkeypatch.setattr(library, "is_known", lambda: False),
        "no CPU": lambda: monkeypatch.setattr(library.jax, "default_backend", lambda: "tpu"),
        "off": lambda: monkeypatch.setenv("DDPG_JAX_NATIVE", "0"),
        "lacking": lambda: monkeypatch.setattr(library, "open_build", lambda name: unsupported),
    }

    def change(name):
        changes[name]()
        if name != "no CPU":  # there are kernels then, which are registered once
            monkeypatch.setattr(library, "load", library.load.__wrapped__)

    return change


@pytest.mark.filterwarnings("ignore:jaxlib")  # which also says what is lost
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("not compiled", "none of this package's can be loaded from /"),
        ("unknown", "jaxlib 0."),
        ("no CPU", "this package's are for CPUs, and programs run on tpu"),
        ("off", "DDPG_JAX_NATIVE=0 turns this package's off"),
        ("lacking", "this processor lacks the instructions of this package's (amx, avx512, avx2)"),
    ],
)
def test_why_the_kernels_do_not_run_is_said_in_one_line(changed, change, reason):
    changed(change)
    assert library.name() == "xla"
    assert library.why_not().startswith(reason)
    assert "\n" not in library.why_not()


@pytest.mark.skipif(not library.are_usable(), reason="there are no kernels here")
def test_where_they_run_there_is_no_reason_why_not():
    assert library.why_not() is None


# What does not show where a narrower build stands in for the widest one: its own arithmetic.
ONE_BUILD = """
import jax, numpy as np, jax.numpy as jnp
from ddpg_jax.native import library
library.BUILDS = ({name!r},)
from ddpg_jax.kernels.mlp import mlp
from tests.kernels.test_mlp import SHAPES, close, in_numpy, make_layers, single
assert library.are_usable()
for rows, sizes in SHAPES:
    rng, layers = np.random.default_rng(1), make_layers(sizes)
    x, d_out = rng.normal(size=(rows, sizes[0])), rng.normal(size=(rows, sizes[-1]))
    out, dx, gradients = in_numpy(x, layers, d_out)
    found, pull_back = jax.vjp(mlp, single(x), single(layers))
    close((found, pull_back(single(d_out))), (out, (dx, gradients)))
    close(mlp(single(x), single(layers)), out)
print("same")
"""


@pytest.mark.parametrize("build", BUILT[1:], ids=lambda build: build.name)
def test_every_narrower_build_computes_the_same(request, build):
    if not build.functions.ddpg_jax_supported():
        pytest.skip("this processor has other instructions")
    if not library.is_wanted():
        pytest.skip("DDPG_JAX_NATIVE is 0")
    script = ONE_BUILD.format(name=build.name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=request.config.rootpath)
    assert done.stdout == "same\n", done.stderr


WITHOUT = """
import jax, jax.numpy as jnp, numpy as np
from ddpg_jax.native import library
{change}
from ddpg_jax import DDPGConfig, EnvSpec, ddpg
spec = EnvSpec(jax.ShapeDtypeStruct((3,), jnp.float32), np.array([-2.0]), np.array([2.0]))
agent = ddpg(spec, DDPGConfig(normalization="none"))
state = jax.eval_shape(agent.init, jax.random.key(0))
print("ddpg_jax" in jax.jit(agent.act).lower(state.params.actor, jnp.ones((64, 3))).as_text().split("@main")[1])
"""


@pytest.mark.parametrize(
    ("change", "used"),
    [
        ("", "True" if library.are_usable() else "False"),
        ("library.BUILDS = ()", "False"),
        ("import os; os.environ['DDPG_JAX_NATIVE'] = '0'", "False"),
        ("library.is_known = lambda: False", "False"),
        ("library.jax.default_backend = lambda: 'tpu'", "False"),
    ],
)
def test_without_kernels_that_fit_xlas_are_used(change, used):
    done = subprocess.run([sys.executable, "-c", WITHOUT.format(change=change)], capture_output=True, text=True)
    assert done.stdout.strip() == used, done.stderr


def test_constants_are_those_of_the_sources():
    sources = {path.name: path.read_text() for path in pathlib.Path(library.__file__).parent.glob("*.[ch]")}
    said = {name: int(value) for text in sources.values() for name, value in re.findall(r"\b([A-Z_]+) = (\d+)", text)}
    assert (said["MOST_LAYERS"], said["FEW_INPUTS"]) == (mlp.MOST_LAYERS, mlp.FEW_INPUTS)
    widths = [said["WIDE"] * int(lanes) for lanes in re.findall(r"\bLANES = (\d+)", sources["vectors.h"])]
    assert max(widths) == mlp.WIDEST
    assert all(mlp.WIDEST % width == 0 for width in widths)


@pytest.mark.parametrize("build", BUILT, ids=lambda build: build.name)
def test_a_build_is_a_module_that_can_be_imported(build):
    """As by those who import all modules of a package; where Python's headers are missing it is none."""
    include = pathlib.Path(sysconfig.get_path("include"), "Python.h")
    if not include.exists():
        pytest.skip("Python's headers are missing")
    module = importlib.import_module(f"ddpg_jax.native.{build.name}")
    assert module.__spec__.origin == module.__file__ == importlib.util.find_spec(module.__name__).origin


# What these instructions imply is not asked for by name; those of AMX are asked of CPUID.
IMPLIED = {"amx-tile", "amx-bf16"}


def test_the_processor_is_asked_for_every_instruction_that_builds_are_compiled_for():
    root = pathlib.Path(library.__file__).parents[2]
    if not (root / "pyproject.toml").exists():
        pytest.skip("the package is installed without its sources")
    modules = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
    sources = {path.name: path.read_text() for path in (root / "ddpg_jax/native").glob("*.h")}
    wide = sources["vectors.h"].partition("#ifdef __AVX512F__\n  if (!")[2].partition("#endif")
    asked = [set(re.findall(r'__builtin_cpu_supports\("([a-z0-9]+)"\)', text)) for text in (wide[0] + wide[2], wide[2])]
    for module in modules:
        name = module["name"].rpartition(".")[2]
        flags = {flag[2:] for flag in module["extra-compile-args"] if flag.startswith("-m")} - IMPLIED
        flags = {flag for flag in flags if "=" not in flag}
        assert flags <= asked[name == "avx2"], name
    assert all(f"AMX_{part}" in sources["product_amx.h"] for part in ("BF16", "TILE"))


NO_C = """
import ctypes, jax
import ddpg_jax.envs.gymnasium  # opens the system's, for how a thread computes
from ddpg_jax.native import library
library.ctypes.CDLL = None  # whoever opens one from now on fails
from ddpg_jax import Config, DDPGConfig, TrainConfig, envs, make_trainer
config = Config(agent=DDPGConfig(hidden_sizes=(8,)), train=TrainConfig(total_steps=40, start_steps=10, update_after=10))
env = envs.make("Pendulum-v1")
trainer, key = make_trainer(env, config), jax.random.key(0)
runner = trainer.init(key)
while int(runner.step) < 40:
    runner, _ = trainer.run(key, runner)
print(env.step_beside, library.name(), library.load())
"""


def test_one_switch_turns_off_all_c(request):
    done = subprocess.run(
        [sys.executable, "-c", NO_C], capture_output=True, text=True, cwd=request.config.rootpath,
        env=os.environ | {"DDPG_JAX_NATIVE": "0"},
    )  # fmt: skip
    assert done.stdout == "None xla None\n", done.stderr

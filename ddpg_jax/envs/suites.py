"""Suites of environments in other packages: one row for each, and one module that knows its package.

The module of a suite does one of two things.

- It has `register(env_id)`, after which Gymnasium knows the suite's ids, that one among them if there is one.
- It has `make(name, num_envs, max_steps, env_kwargs, max_episode_steps) -> Env`, `names()`, of which these are, and
  `spaces(name, env_kwargs)`, Gymnasium's spaces of observations and actions; where its environments can be filmed,
  `film(name, env_kwargs, max_episode_steps) -> gymnasium.Env`, too.
"""

import importlib
from types import ModuleType
from typing import NamedTuple

from ddpg_jax.envs.protocol import EnvError

GYMNAX = "gymnax/"


class Suite(NamedTuple):
    """Environments of one package.

    Attributes:
        begins: what their ids begin with.
        package: what they come from.
        extra: of this package, which installs that one.
        module: of this package, which knows that one.
        registers: whether the module has `register`, and Gymnasium makes the environments.
        mujoco: which it needs, where not any will do.
    """

    begins: tuple[str, ...]
    package: str
    extra: str
    module: str
    registers: bool = True
    mujoco: str = ""

    def name(self, env_id: str) -> str:
        """The package's own name of an environment."""
        return env_id.removeprefix(self.begins[0])


ROBOTICS = ("AdroitHand", "AntMaze_", "Fetch", "FrankaKitchen", "HandManipulate", "HandReach", "PointMaze_")
HIGHWAY = (
    "exit-", "highway-", "intersection-", "lane-keeping-", "merge-", "parking-", "racetrack-", "roundabout-",
    "two-way-", "u-turn-",
)  # fmt: skip
HERE = "ddpg_jax.envs"
SUITES = (
    Suite((GYMNAX,), "gymnax", "gymnax", f"{HERE}.gymnax", registers=False),
    Suite(("playground/",), "MuJoCo Playground", "playground", f"{HERE}.playground", registers=False, mujoco="3.17"),
    Suite(("brax/",), "brax", "brax", f"{HERE}.brax", registers=False, mujoco="3.17"),
    Suite(("envpool/",), "envpool", "envpool", f"{HERE}.envpool", registers=False),
    Suite(("dmc/",), "dm_control and shimmy", "dmc", f"{HERE}.gymnasium.dm_control", mujoco="3.17"),
    Suite(("metaworld/",), "metaworld", "metaworld", f"{HERE}.gymnasium.metaworld", mujoco="3.3.0"),
    Suite(ROBOTICS, "gymnasium-robotics", "robotics", f"{HERE}.gymnasium.robotics", mujoco="3.3.7"),
    Suite(HIGHWAY, "highway-env", "highway", f"{HERE}.gymnasium.highway"),
)


def find_suite(env_id: str) -> Suite | None:
    """The suite that an id looks like one of, or None; nothing is imported."""
    return next((suite for suite in SUITES if env_id.startswith(suite.begins)), None)


def load(suite: Suite, env_id: str) -> ModuleType:
    """The module of a suite, which imports the suite's package; never one that an id names.

    Args:
        suite: whose.
        env_id: what it is loaded for, for the message.

    Raises:
        EnvError: if the package is not installed, or not with what it needs.
    """
    try:
        module = importlib.import_module(suite.module)
        if suite.registers:
            module.register(env_id)
    except Exception as error:  # not all packages that meet another version of MuJoCo raise ImportError
        raise EnvError(f"environment {env_id!r} needs {suite.package}: {remedy(suite)} ({error})") from error
    return module


def remedy(suite: Suite) -> str:
    """How a suite is installed, and beside which others it cannot be."""
    others = [f"[{other.extra}]" for other in SUITES if suite.mujoco and other.mujoco not in ("", suite.mujoco)]
    apart = f", in a Python environment without {', '.join(others)}: they need another mujoco" if others else ""
    return f"pip install 'ddpg_jax[{suite.extra}]'{apart}"

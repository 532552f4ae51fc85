"""The environment that a policy is filmed in: one of Gymnasium that draws itself, also without a display."""

import contextlib
import ctypes.util
import functools
import os
import sys
from collections.abc import Callable, Iterator

import gymnasium
import jax
import numpy as np

from ddpg_jax import envs
from ddpg_jax.config import Config, ConfigError
from ddpg_jax.envs.gymnasium.worker import close, describe_error
from ddpg_jax.envs.ids import is_own
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.envs.suites import find_suite, load
from ddpg_jax.runs.environments import make_env, make_one_env
from ddpg_jax.runs.watch.episode import MODE, render
from ddpg_jax.types import EnvSpec, Tree

# Pictures a second where an environment does not say.
USUAL_RATE = 30


def render_without_display() -> None:
    """Let pygame and MuJoCo draw into memory; what the user chose stays, and it is read once, at their import."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    if sys.platform == "linux":  # elsewhere MuJoCo needs no choice, and refuses this one
        os.environ.setdefault("MUJOCO_GL", "egl" if ctypes.util.find_library("EGL") else "osmesa")


def choose_env(own: str, other: str | None) -> str:
    """The id to play in.

    Args:
        own: the environment of the run; the id comes from a file.
        other: the one a person asked for, or None.

    Raises:
        ConfigError: if an environment is to draw that cannot.
        EnvError: if the module of the one that was asked for cannot be imported.
    """
    if other is not None:
        if is_own(other) and not film_of(other):
            raise ConfigError(f"env = {other!r} is compiled and draws nothing; name a Gymnasium id")
        return envs.resolve(other)
    if not is_own(own) or film_of(own):
        return own
    namesake = own.partition("/")[2]
    if not envs.registered(namesake):
        raise ConfigError(
            f"{own} is compiled and draws nothing, and Gymnasium has no {namesake}; name one like it with --env"
        )
    return namesake


def film_of(env_id: str) -> Callable[..., gymnasium.Env] | None:
    """`make(env_kwargs, max_episode_steps)` of one that draws itself, for a suite's compiled one; None without one."""
    suite = find_suite(env_id)
    film = getattr(load(suite, env_id), "film", None) if suite else None
    return functools.partial(film, suite.name(env_id)) if suite and film else None


@contextlib.contextmanager
def open_env(config: Config, env_id: str) -> Iterator[gymnasium.Env]:
    """An environment that has drawn its first picture, so that it can draw.

    Args:
        config: settings of the run.
        env_id: its environment, or another one to play in.

    Raises:
        EnvError: if there is no such environment, or it cannot draw here.
    """
    try:
        film = film_of(env_id)
        env_kwargs = config.env_kwargs if env_id == config.env else {}
        env = film(env_kwargs, config.max_episode_steps) if film else make_one_env(config, env_id, MODE)
    except EnvError as error:
        if isinstance(error.__cause__, TypeError | AssertionError):  # the constructor knows no render mode, or not this
            reason = describe_error(error.__cause__)
            raise EnvError(f"environment {env_id!r} cannot be rendered as {MODE}: {reason}") from error
        raise
    with contextlib.ExitStack() as stack:
        stack.callback(close, env)
        modes = env.metadata.get("render_modes") or []
        if MODE not in modes:
            raise EnvError(f"environment {env_id!r} cannot be rendered as {MODE}; it has {list(modes) or 'no mode'}")
        try:
            env.reset(seed=0)
            render(env)
        except gymnasium.error.DependencyNotInstalled as error:
            raise EnvError(f"{env_id} cannot draw: {describe_error(error)}; pip install 'ddpg_jax[watch]'") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also what asks to exit
            raise EnvError(f"{env_id} cannot draw: {describe_error(error)}{remedy(env_id, env)}") from error
        yield env


def remedy(env_id: str, env: gymnasium.Env) -> str:
    """What to try where drawing fails for want of the machine's libraries."""
    suite = find_suite(env_id)
    if "mujoco" not in type(env.unwrapped).__module__ and not (suite and suite.mujoco):
        return ""
    chosen = os.environ.get("MUJOCO_GL", "not set")
    return f"; MUJOCO_GL is {chosen}: try egl or osmesa, with its library (Debian: libegl1 or libosmesa6)"


def frame_rate(env: gymnasium.Env) -> float:
    """Steps a second, as the environment's `render_fps` says; 30 where it does not."""
    rate = env.metadata.get("render_fps")
    return float(rate) if isinstance(rate, int | float) and 0 < rate < np.inf else USUAL_RATE


def spec_of(config: Config) -> EnvSpec:
    """The spaces of a run's environment, which is made for them alone."""
    with contextlib.closing(make_env(config)) as env:
        return env.spec


def shared_spec(own: str, trained: EnvSpec | None, env_id: str, shown: EnvSpec) -> EnvSpec:
    """The spaces of a run's environment, which are those of the one to play in.

    Args:
        own: id of the run's environment.
        trained: its spaces, or None where it is the one to play in.
        env_id: id of the one to play in.
        shown: the spaces of that one.

    Raises:
        ConfigError: naming those that are not the same.
    """
    if trained is None:
        return shown
    found = differences(trained, shown)
    if found:
        raise ConfigError(
            f"the policy of {own} cannot play in {env_id}: {'; '.join(found)}; name one of the same spaces with --env"
        )
    return trained


def differences(trained: EnvSpec, shown: EnvSpec) -> list[str]:
    """Which spaces of two environments are not the same, in words, the first one's first."""
    pairs = {
        "observations": [describe_obs(spec.obs) for spec in (trained, shown)],
        "lower action bounds": [spec.action_low.tolist() for spec in (trained, shown)],
        "upper action bounds": [spec.action_high.tolist() for spec in (trained, shown)],
    }
    return [f"{name} are {one} and {other}" for name, (one, other) in pairs.items() if one != other]


def describe_obs(obs: Tree) -> str:
    """Observations in words, each part of a Dict with its keys."""
    parts = jax.tree.leaves_with_path(obs)
    return ", ".join(
        f"{jax.tree_util.keystr(path)} {leaf.dtype} of shape {leaf.shape}".lstrip() for path, leaf in parts
    )

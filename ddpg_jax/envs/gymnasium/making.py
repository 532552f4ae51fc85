"""One environment: of an id, a class or a function, with its arguments, its limit and its wrappers."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec as Registered
from gymnasium.envs.registration import registry

from ddpg_jax.envs.gymnasium.factory import describe_cause, make_checked, one_line
from ddpg_jax.envs.gymnasium.interface import OLD_PACKAGE, accepts, object_problem
from ddpg_jax.envs.gymnasium.named_wrappers import Wrapper, find_wrapper, wrap
from ddpg_jax.envs.gymnasium.worker import close
from ddpg_jax.envs.ids import newest, register_suite
from ddpg_jax.envs.own_code import look_up, names_code
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.envs.suites import find_suite, remedy


def make_one(
    env_id: Any,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Callable] = (),
    **options: Any,
) -> gymnasium.Env:
    """One environment, checked; whatever is wrong with it comes as `EnvError`.

    Args:
        env_id: a registered id, the specification of one (`gymnasium.spec`), or a class or function that makes one.
        env_kwargs: its arguments.
        wrappers: around it, the innermost first: names, as `Config.wrappers` has them, classes or functions.
        options: `max_episode_steps` and `render_mode`, as `gymnasium.make` has them; of an id, whatever it takes.

    Raises:
        EnvError: if it cannot be made, or its spaces are not Boxes that DDPG can use.
    """
    return make_factory(env_id, env_kwargs, wrappers, **options)()


def make_factory(
    env_id: Any,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Callable] = (),
    **options: Any,
) -> Callable[[], gymnasium.Env]:
    """Build a function that makes environments as `make_one` does; all that is looked up by a name is found now.

    Raises:
        EnvError: if the name of code, or of a wrapper, is not known.
    """
    name = name_of(env_id)
    if isinstance(env_id, str) and names_code(env_id):
        env_id = look_up(env_id)
    around = [find_wrapper(wrapper) for wrapper in wrappers]
    options = {option: value for option, value in options.items() if value is not None}
    make = functools.partial(make_wrapped, env_id, name, dict(env_kwargs or {}), around, options)
    return functools.partial(make_checked, make, f"environment {name!r}")


def name_of(env_id: Any) -> str:
    """An environment's name in messages."""
    if isinstance(env_id, str):
        return env_id
    return env_id.id if isinstance(env_id, Registered) else getattr(env_id, "__qualname__", type(env_id).__name__)


def for_processes(env_id: Any) -> Any:
    """The same environment as other processes know it: an id may be registered in this one alone."""
    return registry.get(newest(env_id), env_id) if isinstance(env_id, str) else env_id


def make_wrapped(
    env_id: Any, name: str, env_kwargs: dict[str, Any], wrappers: list[Wrapper], options: dict[str, Any]
) -> gymnasium.Env:
    """An environment in its wrappers; it is closed if one of them refuses it."""
    if isinstance(env_id, str | Registered):
        env = make_registered(env_id, env_kwargs, **options)
    else:
        env = make_own(env_id, name, env_kwargs, **options)
    if object_problem(env):  # told by the check that follows
        return env
    try:
        return functools.reduce(wrap, wrappers, env)
    except BaseException:
        close(env)
        raise


def make_registered(env_id: Any, env_kwargs: dict[str, Any], **options: Any) -> gymnasium.Env:
    """One environment of an id or specification; Gymnasium's own reasons for refusing it come as `EnvError`."""
    name = name_of(env_id)
    register_suite(name)
    try:
        return gymnasium.make(env_id, disable_env_checker=True, **env_kwargs | options)
    except (gymnasium.error.Error, ImportError) as error:
        raise EnvError(f"environment {name!r} cannot be made: {one_line(str(error))}") from error
    except AssertionError as error:
        suite = find_suite(name)
        if not suite or not suite.mujoco:
            raise
        # All that gymnasium-robotics says to a MuJoCo which is too new for it.
        raise EnvError(f"environment {name!r} cannot be made; it may need another mujoco: {remedy(suite)}") from error
    except TypeError as error:
        if "gymnasium.Env" not in str(error):
            raise
        reason = describe_cause(error).rstrip(".")
        raise EnvError(f"environment {name!r} cannot be made: {reason}; {OLD_PACKAGE}") from error


def make_own(
    factory: Callable[..., Any],
    name: str,
    env_kwargs: dict[str, Any],
    max_episode_steps: int | None = None,
    render_mode: str | None = None,
) -> Any:
    """What a class or function makes; it is asked to draw only if it takes a `render_mode`.

    Raises:
        EnvError: if it does not take these arguments, or ends its episodes before `max_episode_steps` by itself.
    """
    if not callable(factory):
        return make_checked(factory)  # says what it is
    signature = signature_of(factory)
    if signature is not None and render_mode is not None and accepts(signature, **env_kwargs | {"render_mode": None}):
        env_kwargs = env_kwargs | {"render_mode": render_mode}
    try:
        if signature is not None:
            signature.bind(**env_kwargs)
    except TypeError as error:
        raise EnvError(
            f"environment {name!r} cannot be made: {error}; it takes {signature}, and env_kwargs gives {env_kwargs}"
        ) from error
    env = factory(**env_kwargs)
    return env if max_episode_steps is None or object_problem(env) else limit(env, name, max_episode_steps)


def signature_of(factory: Callable[..., Any]) -> inspect.Signature | None:
    """What a class or function takes, None where that cannot be read."""
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError):
        return None


def limit(env: gymnasium.Env, name: str, max_episode_steps: int) -> gymnasium.Env:
    """An environment whose episodes are truncated after so many steps.

    Raises:
        EnvError: if it has a limit of its own below that, which would come first.
    """
    own = env.spec.max_episode_steps if env.spec else None
    if own is not None and own < max_episode_steps:
        close(env)
        raise EnvError(
            f"max_episode_steps = {max_episode_steps} is beyond the limit of {own} steps that environment {name!r} "
            "sets where it is made; change it there"
        )
    return gymnasium.wrappers.TimeLimit(env, max_episode_steps)

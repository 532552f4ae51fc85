"""DeepMind Control through shimmy, under the names that its users know: `dmc/cartpole-swingup`."""

import functools
import warnings
from typing import Any

import gymnasium

OWN, SHIMMY = "dmc", "dm_control"


def register(env_id: str) -> None:
    """Let Gymnasium know its environments, each as a namesake of shimmy's.

    Raises:
        ImportError: if shimmy or dm_control is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glfw, where there is no display
        import dm_control  # noqa: F401 - without it, shimmy would register nothing and say nothing
        import shimmy

    gymnasium.register_envs(shimmy)
    for spec in [spec for spec in gymnasium.registry.values() if spec.namespace == SHIMMY]:
        namesake = f"{OWN}/{spec.name}-v{spec.version}"
        if namesake not in gymnasium.registry:
            make_namesake = functools.partial(make, spec.entry_point)
            gymnasium.register(namesake, make_namesake, nondeterministic=spec.nondeterministic)


def make(entry_point: Any, **options: Any) -> gymnasium.Env:
    """One environment of shimmy's, which plays its films at the speed of its control."""
    env = entry_point(**options)
    # shimmy has milliseconds a step there, and a dict that all of its environments share.
    env.metadata = env.metadata | {"render_fps": round(1 / env.dt)}
    return env

"""gymnasium-robotics: Gymnasium knows its ids only after it was imported."""

import contextlib
import io

import gymnasium

from ddpg_jax.envs.protocol import EnvError

# What its ids begin with.
FAMILIES = ("AdroitHand", "AntMaze_", "Fetch", "FrankaKitchen", "HandManipulate", "HandReach", "PointMaze_")


def register_robotics(env_id: str) -> None:
    """Let Gymnasium know the environments of gymnasium-robotics, where an unknown id looks like one of them.

    The module that is imported is always this one; nothing is imported that an id names.

    Raises:
        EnvError: if the package is not installed.
    """
    if env_id in gymnasium.registry or not env_id.startswith(FAMILIES):
        return
    # Its import prints a note on the rewards of Adroit's hands, which concerns no other.
    note = contextlib.nullcontext() if env_id.startswith("Adroit") else contextlib.redirect_stderr(io.StringIO())
    try:
        with note:
            import gymnasium_robotics
    except ImportError as error:
        raise EnvError(
            f"environment {env_id!r} needs gymnasium-robotics: pip install 'ddpg_jax[robotics]' ({error})"
        ) from error
    gymnasium.register_envs(gymnasium_robotics)

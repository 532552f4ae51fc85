"""gymnasium-robotics: Gymnasium knows its ids only after it was imported."""

import contextlib
import io

import gymnasium


def register(env_id: str) -> None:
    """Let Gymnasium know its environments.

    Raises:
        ImportError: if the package is not installed.
    """
    # Its import prints a note on the rewards of Adroit's hands, which concerns no other.
    note = contextlib.nullcontext() if env_id.startswith("Adroit") else contextlib.redirect_stderr(io.StringIO())
    with note:
        import gymnasium_robotics
    gymnasium.register_envs(gymnasium_robotics)

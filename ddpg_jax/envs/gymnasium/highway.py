"""highway-env: Gymnasium knows its ids only after it was imported."""

import gymnasium


def register(env_id: str) -> None:
    """Let Gymnasium know its environments.

    Raises:
        ImportError: if the package is not installed.
    """
    import highway_env

    gymnasium.register_envs(highway_env)

"""Meta-World's tasks one by one, `metaworld/reach-v3`: each is its benchmark MT1, with the same 50 goals each time.

The observation shows the goal. An episode ends after 500 steps, as it does there, also where the task was done.
"""

import functools
from typing import Any

import gymnasium

# Which 50 goals a task has; the benchmark leaves it to who makes it.
GOALS = 0


def register(env_id: str) -> None:
    """Let Gymnasium know its tasks.

    Raises:
        ImportError: if Meta-World is not installed.
    """
    from metaworld import ALL_V3_ENVIRONMENTS

    for name in ALL_V3_ENVIRONMENTS:
        if f"metaworld/{name}" not in gymnasium.registry:
            gymnasium.register(f"metaworld/{name}", functools.partial(make, name))


def make(name: str, seed: int = GOALS, **options: Any) -> gymnasium.Env:
    """One task.

    Args:
        name: "reach-v3" for one.
        seed: which 50 goals it has.
        options: handed to Meta-World.
    """
    env = gymnasium.make("Meta-World/MT1", env_name=name, seed=seed, disable_env_checker=True, **options)
    return SeededGoals(env)


class SeededGoals(gymnasium.Wrapper):
    """Chooses an episode's goal by the seed of its reset, which Meta-World itself does not look at."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation of the episode of a seed."""
        if seed is not None:
            self.get_wrapper_attr("seed")(seed)
        return super().reset(seed=seed, options=options)

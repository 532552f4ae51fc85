"""What an environment is wrapped in, and which wrappers cannot be trained through."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import ClipAction, NormalizeObservation, NormalizeReward, RescaleAction

from ddpg_jax.envs.gymnasium.remedies import leave_out

# What any object with running statistics has, Gymnasium's and others': sums, and a way to go on with them.
SUMS, ADD = ("mean", "var", "count"), "update"
FROZEN = "update_running_mean"
OWN_STATISTICS = (
    "keeps running statistics in {layer}, which evaluations, further environments and a resumed run do not share: "
    "leave it out and use {instead}, whose statistics are saved with the policy; or give it fixed ones and set its "
    f"{FROZEN} to False where the environment is made"
)
INSTEAD = {
    NormalizeObservation: "--agent.normalize-obs",
    NormalizeReward: "--agent.normalize-reward",
    object: "--agent.normalize-obs or --agent.normalize-reward",
}


def layers(env: Any) -> Iterator[gymnasium.Env]:
    """An environment and all those inside it, from the outermost."""
    while isinstance(env, gymnasium.Env):
        yield env
        # A wrapper, or an adapter that is none: attributes may be handed on, so only its own.
        env = vars(env).get("env")


def below_gymnasium_wrappers(env: gymnasium.Env, method: str) -> gymnasium.Env:
    """The outermost layer whose `reset`, or `step`, is not that of a wrapper of Gymnasium's."""
    while isinstance(env, gymnasium.Wrapper) and getattr(type(env), method).__module__.startswith("gymnasium."):
        env = env.env
    return env


def wrapper_problem(env: gymnasium.Env) -> str | None:
    """Why an environment cannot be trained through one of its layers, or None."""
    found = (statistics_problem(layer) or rescaling_problem(layer) or clip_problem(env, layer) for layer in layers(env))
    return next(filter(None, found), None)


def statistics_problem(layer: gymnasium.Env) -> str | None:
    """Why what a layer shows depends on all that it saw before, or None."""
    own = list(vars(layer).values())
    parts = [part for value in own if isinstance(value, dict) for part in value.values()]
    if not any(map(is_running, own + parts)) or not getattr(layer, FROZEN, True):
        return None
    instead = next(words for kind, words in INSTEAD.items() if isinstance(layer, kind))
    return OWN_STATISTICS.format(layer=type(layer).__name__, instead=instead)


def is_running(value: Any) -> bool:
    """Whether an object holds running statistics."""
    try:
        return hasattr(value, ADD) and all(hasattr(value, name) and not callable(getattr(value, name)) for name in SUMS)
    except Exception:  # whatever it is, its properties are code that was not made for this question
        return False


def rescaling_problem(layer: gymnasium.Env) -> str | None:
    """Why the actions that a layer makes are no numbers, or None."""
    if not isinstance(layer, RescaleAction):
        return None
    space: Any = layer.env.action_space
    constant = np.flatnonzero(space.low == space.high)
    if not constant.size:
        return None
    return (
        f"is wrapped in {type(layer).__name__}, which makes NaN of action dimension {constant[0]}, whose two bounds "
        f"are {space.low.ravel()[constant[0]]:g}; below it, {leave_out(space, int(constant[0]))}"
    )


def clip_problem(env: gymnasium.Env, layer: gymnasium.Env) -> str | None:
    """Why an environment has no bounds that its inside has, or None."""
    if not isinstance(layer, ClipAction) or layer.action_space is not env.action_space:
        return None
    return (
        f"is wrapped in {type(layer).__name__}, which hides the bounds of its actions; leave it out, since no "
        "action is ever beyond them"
    )

"""Settings of the noise by which the agent explores."""

from dataclasses import dataclass
from typing import Literal

from ddpg_jax.config.rules import NOT_NEGATIVE, NOT_NEGATIVE_OR_NONE, POSITIVE, Together, setting


@dataclass(frozen=True)
class ExplorationConfig:
    """How the acting side departs from the greedy policy. Noise is in units of half the action range."""

    kind: Literal["gaussian", "ou", "uniform", "greedy"] = "gaussian"
    """Independent noise, Ornstein-Uhlenbeck noise, uniform random actions, or none."""
    stddev: float = setting(0.1, NOT_NEGATIVE)
    """Scale of the noise: its standard deviation (gaussian) or the sigma of the OU process."""
    final_stddev: float | None = setting(None, NOT_NEGATIVE_OR_NONE)
    """Scale reached after `decay_steps`, or below which `decay_rate` does not go; None for neither. It is that of
    `parameter_noise` where `kind` is greedy; beside other noise, parameter noise decays in the same proportion."""
    decay_steps: int = setting(0, NOT_NEGATIVE)
    """Environment steps, from the first with this noise on, over which the scale moves linearly to `final_stddev`."""
    decay_rate: float = setting(1.0, ("in (0, 1]", lambda v: 0 < v <= 1))
    """Factor of the scale from one episode of an environment to its next; 1 keeps it."""
    parameter_noise: float = setting(0.0, NOT_NEGATIVE)
    """Noise on the actor's parameters, renewed with each episode, and adapted so that its actions depart by this much;
    0 for none. The other noise is added to its actions: choose `greedy` for none."""
    smoothing: float = setting(0.0, ("in [0, 1)", lambda v: 0 <= v < 1))
    """Share of the action before in each action, within an episode."""
    theta: float = setting(0.15, POSITIVE)
    """OU only: rate of return to the mean."""
    dt: float = setting(1.0, POSITIVE)
    """OU only: time step; sigma means nothing without it."""


def initial_scale(config: ExplorationConfig) -> tuple[str, float]:
    """The setting that the scale of the noise starts at, and its value: parameter noise, where there is no other."""
    name = "parameter_noise" if config.kind == "greedy" else "stddev"
    return name, getattr(config, name)


# Settings that are fine alone and not together: what must hold, and what to say when it does not.
TOGETHER: Together = (
    (
        lambda c: not c.decay_steps or (c.final_stddev is not None and c.decay_rate == 1),
        lambda c, at: (
            f"{at}decay_steps = {c.decay_steps} needs {at}final_stddev, the scale it leads to, and no "
            f"{at}decay_rate beside it; they are {c.final_stddev} and {c.decay_rate}"
        ),
    ),
    (
        lambda c: c.final_stddev is None or c.decay_steps or c.decay_rate < 1,
        lambda c, at: (
            f"{at}final_stddev = {c.final_stddev} needs {at}decay_steps, or {at}decay_rate below 1; "
            "set one of them to let the noise decay"
        ),
    ),
    (
        lambda c: not (c.kind == "uniform" and c.parameter_noise),
        lambda c, at: (
            f"{at}parameter_noise = {c.parameter_noise} means nothing with {at}kind = 'uniform', which never asks "
            "the actor; choose 'greedy' for parameter noise alone"
        ),
    ),
    (
        lambda c: c.kind in ("gaussian", "ou") or c.parameter_noise or not (c.decay_steps or c.decay_rate < 1),
        lambda c, at: (
            f"{at}decay_steps = {c.decay_steps} and {at}decay_rate = {c.decay_rate} need a noise that decays; "
            f"{at}kind = {c.kind!r} has none, choose 'gaussian' or 'ou', or set {at}parameter_noise"
        ),
    ),
    (
        lambda c: c.decay_rate == 1 or c.final_stddev is None or c.final_stddev <= initial_scale(c)[1],
        lambda c, at: (
            f"{at}final_stddev = {c.final_stddev} must be at most {at}{initial_scale(c)[0]} = {initial_scale(c)[1]} "
            f"where {at}decay_rate = {c.decay_rate} lowers it"
        ),
    ),
    (
        lambda c: not (c.final_stddev and c.parameter_noise) or initial_scale(c)[1] > 0,
        lambda c, at: (
            f"{at}parameter_noise = {c.parameter_noise} decays in proportion to {at}stddev = {c.stddev}, which "
            "must be above 0; choose kind 'greedy' for parameter noise alone"
        ),
    ),
    (
        lambda c: c.theta * c.dt < 2,
        lambda c, at: (
            f"{at}theta = {c.theta} times {at}dt = {c.dt} must be below 2, or the noise grows without end; lower dt"
        ),
    ),
)

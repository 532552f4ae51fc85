"""Settings of the agent: networks, optimisers, loss and targets."""

import math
from dataclasses import dataclass
from typing import Literal

from ddpg_jax.config.rules import AT_LEAST_ONE, FINITE, NOT_NEGATIVE, POSITIVE, UNIT, Together, setting


@dataclass(frozen=True)
class DDPGConfig:
    """The networks, their optimisers, the loss and the targets.

    TD3 is `num_critics=2, policy_delay=2, target_noise=0.2`; D4PG's critic is `num_atoms=51`.
    """

    hidden_sizes: tuple[int, ...] = setting((256, 256), ("one or more sizes >= 1", lambda v: v and min(v) >= 1))
    """Width of each hidden layer, for actor and critic."""
    actor_lr: float = setting(1e-4, POSITIVE)
    """Adam learning rate of the actor."""
    critic_lr: float = setting(1e-3, POSITIVE)
    """Adam learning rate of the critics."""
    tau: float = setting(0.005, ("in (0, 1]", lambda v: 0 < v <= 1))
    """Step of the target networks towards the learned ones; 1 copies them."""
    num_critics: int = setting(1, AT_LEAST_ONE)
    """Critics in the ensemble."""
    policy_delay: int = setting(1, AT_LEAST_ONE)
    """The actor and all targets are updated once every so many critic updates."""
    target_noise: float = setting(0.0, NOT_NEGATIVE)
    """Standard deviation of the noise on the target action, in units of half the action range."""
    target_noise_clip: float = setting(0.5, NOT_NEGATIVE)
    """Bound of that noise, in the same unit."""
    activation: Literal["relu", "tanh", "elu", "gelu", "silu"] = "relu"
    """Nonlinearity after each hidden layer."""
    normalization: Literal["layer", "batch", "none"] = "layer"
    """Normalise each hidden layer before its activation: LayerNorm, BatchNorm, or not at all."""
    max_grad_norm: float | None = setting(
        None, ("> 0, or None for no clipping", lambda v: v is None or 0 < v < math.inf)
    )
    """Global norm to which the actor's gradient is clipped, and that of all critics together; None does not clip."""
    critic_hidden_sizes: tuple[int, ...] | None = setting(
        None, ("one or more sizes >= 1, or None", lambda v: v is None or (len(v) > 0 and min(v) >= 1))
    )
    """Width of each of the critics' hidden layers; None gives them the actor's."""
    torso: Literal["flat", "conv"] = "flat"
    """What sees images `[height, width, channels]` first: nothing, they are flattened, or three small convolutions."""
    kernels: Literal["auto", "xla"] = "auto"
    """What computes ReLU layers without normalization on a CPU: this package's kernels where they fit, or XLA's."""
    normalize_obs: bool = False
    """Scale observations by their running mean and standard deviation; integers (images) stay as they are."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""
    lr_decay_updates: int = setting(0, NOT_NEGATIVE)
    """Updates over which the learning rates fall to `lr_final_fraction` of themselves; 0 keeps them."""
    lr_final_fraction: float = setting(0.1, UNIT)
    """Fraction of the learning rates that is left after `lr_decay_updates`."""
    actor_lr_schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the actor's learning rate falls over `lr_decay_updates`; "constant" keeps it."""
    critic_lr_schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the critics' learning rate falls over `lr_decay_updates`; "constant" keeps it."""
    actor_weight_decay: float = setting(0.0, NOT_NEGATIVE)
    """Coefficient of the same penalty on the actor's parameters as `critic_weight_decay`."""
    critic_weight_decay: float = setting(0.0, NOT_NEGATIVE)
    """Coefficient of the L2 penalty c |phi|^2 / 2 on the critics' parameters, added to their gradient."""
    target_period: int = setting(1, AT_LEAST_ONE)
    """The target networks make their step once every so many updates of the actor; with `tau` 1, hard copies."""
    target_reduction: Literal["min", "mean"] = "min"
    """What the target makes of its critics: the smallest value, or their mean."""
    target_subset: int | None = setting(None, (">= 1, or None", lambda v: v is None or v >= 1))
    """Critics that a target asks, drawn at random in each update; None asks all. REDQ asks 2 of 10."""
    num_atoms: int = setting(1, AT_LEAST_ONE)
    """1: a critic gives Q itself; more: a distribution over so many values from `value_min` to `value_max`."""
    value_min: float = setting(-100.0, FINITE)
    """Distribution only: the least return it can tell, in the unit of the (normalised) reward."""
    value_max: float = setting(100.0, FINITE)
    """Distribution only: the greatest."""
    critic_loss: Literal["squared", "huber"] = "squared"
    """How the loss grows with the TD error: squared, or from 1 on linearly."""
    q_penalty: float = setting(0.0, NOT_NEGATIVE)
    """Coefficient c of the penalty c Q^2 in the critics' loss."""


# Settings that are fine alone and not together: what must hold, and what to say when it does not.
TOGETHER: Together = (
    (
        lambda c: c.target_subset is None or c.target_subset <= c.num_critics,
        lambda c, at: (
            f"{at}target_subset = {c.target_subset} must be at most {at}num_critics = {c.num_critics}; "
            "raise the number of critics"
        ),
    ),
    (
        lambda c: c.value_min < c.value_max,
        lambda c, at: f"{at}value_min = {c.value_min} must be below {at}value_max = {c.value_max}",
    ),
    *(
        (
            lambda c, name=name: c.lr_decay_updates or getattr(c, name) in (getattr(DDPGConfig, name), "constant"),
            lambda c, at, name=name: (
                f"{at}{name} = {getattr(c, name)!r} means nothing with {at}lr_decay_updates = 0, which keeps the "
                "learning rate; set the number of updates over which it falls"
            ),
        )
        for name in ("actor_lr_schedule", "critic_lr_schedule", "lr_final_fraction")
    ),
)

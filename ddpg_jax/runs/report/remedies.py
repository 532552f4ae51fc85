"""Settings to try when a run is not well, by their flags, with the values they have now.

Values come from the sources of the presets: learning rates of 1e-3 and below, targets that follow slowly, clipped
gradients, and two critics whose minimum counts where Q promises too much (Fujimoto et al., 2018).
"""

import operator
from collections.abc import Callable
from typing import Any

from ddpg_jax.config import Config
from ddpg_jax.runs.check_updates import FEW, first_update

# A setting by its name, and the value to try beside these settings; None where it is not what is wrong.
Remedy = tuple[str, Callable[[Config], Any]]
MOST = 2
# Learning rates and steps of the targets above which no source goes.
FAST, FASTEST_TARGETS = 1e-3, 0.02
# Random steps that fill a memory with more than a single policy.
RANDOM_STEPS = 1_000
# Scale of noise, in half the action range, that reaches most actions.
WIDE = 0.5


def suggest(candidates: tuple[Remedy, ...], config: Config) -> tuple[str, ...]:
    """The first two candidates that apply and change something, as `--flag value (it is value)`."""
    found: dict[str, str] = {}
    for name, wanted in candidates:
        value, now = wanted(config), operator.attrgetter(name)(config)
        if value is not None and value != now and name not in found:
            found[name] = f"--{name.replace('_', '-')} {written(value)} (it is {written(now)})"
    return tuple(found.values())[:MOST]


def written(value: Any) -> str:
    """A value as it is typed."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def slower(rate: float) -> float:
    """About a third of a rate, or of any."""
    return float(f"{rate / 3:.1g}")


def stronger_noise(config: Config) -> float:
    """About three times the noise, between 0.2 and what reaches most actions; not less than it is."""
    now = config.exploration.stddev
    return max(now, min(WIDE, max(0.2, float(f"{3 * now:.1g}"))))


def share_of_each(config: Config) -> int | None:
    """As many updates a step as environments, where these share far fewer."""
    train = config.train
    return train.num_envs if FEW * train.updates_per_step < train.num_envs else None


def sooner(config: Config) -> int | None:
    """An earlier first update, where most of the run comes before it."""
    train = config.train
    return first_update(train) if FEW * train.update_after > train.total_steps else None


DIVERGING: tuple[Remedy, ...] = (
    ("agent.critic_lr", lambda c: FAST if c.agent.critic_lr > FAST else None),
    ("agent.tau", lambda c: 0.005 if c.agent.tau > FASTEST_TARGETS else None),
    ("replay.discount", lambda c: 0.99 if c.replay.discount > 0.995 else None),
    ("agent.num_critics", lambda c: max(2, c.agent.num_critics)),
    ("agent.max_grad_norm", lambda c: 1.0 if (c.agent.max_grad_norm or 100) > 10 else None),
    ("agent.critic_lr", lambda c: slower(c.agent.critic_lr)),
    ("agent.tau", lambda c: slower(c.agent.tau)),
)

SATURATED: tuple[Remedy, ...] = (
    ("agent.actor_lr", lambda c: 1e-4 if c.agent.actor_lr > FAST else None),
    ("agent.critic_lr", lambda c: FAST if c.agent.critic_lr > FAST else None),
    ("agent.actor_lr", lambda c: slower(c.agent.actor_lr)),
    ("agent.normalization", lambda c: "layer"),
    ("agent.max_grad_norm", lambda c: c.agent.max_grad_norm or 1.0),
    ("exploration.stddev", stronger_noise),
)

UNEXPLORED: tuple[Remedy, ...] = (
    ("exploration.kind", lambda c: "gaussian" if c.exploration.kind == "greedy" else None),
    ("exploration.stddev", lambda c: 0.2 if not c.exploration.stddev else None),
    ("exploration.final_stddev", lambda c: None if c.exploration.final_stddev is None else c.exploration.stddev / 2),
    ("train.start_steps", lambda c: max(RANDOM_STEPS, c.train.start_steps)),
    ("exploration.stddev", stronger_noise),
    ("train.start_steps", lambda c: 5 * c.train.start_steps),
)

STUCK: tuple[Remedy, ...] = (
    ("train.updates_per_step", share_of_each),
    ("agent.actor_lr", lambda c: FAST if c.agent.actor_lr > FAST else None),
    ("agent.critic_lr", lambda c: FAST if c.agent.critic_lr > FAST else None),
    ("exploration.stddev", lambda c: None if c.exploration.kind == "uniform" else stronger_noise(c)),
    ("replay.n_step", lambda c: max(3, c.replay.n_step)),
    ("train.total_steps", lambda c: 2 * c.train.total_steps),
    ("agent.normalization", lambda c: "layer"),
)

FORGOTTEN: tuple[Remedy, ...] = (
    ("replay.capacity", lambda c: c.train.total_steps if c.replay.capacity < c.train.total_steps else None),
    ("agent.actor_lr", lambda c: slower(c.agent.actor_lr)),
    ("agent.lr_decay_updates", lambda c: c.agent.lr_decay_updates or c.train.total_steps),
    ("agent.num_critics", lambda c: max(2, c.agent.num_critics)),
)

SHORT: tuple[Remedy, ...] = (
    ("train.updates_per_step", share_of_each),
    ("train.update_after", sooner),
    ("train.total_steps", lambda c: max(20_000, 5 * c.train.total_steps)),
)

"""Updates whose gradient is not finite: they change no parameters, and are counted."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from ddpg_jax.agent.state import Skipped
from ddpg_jax.types import Array

T = TypeVar("T")


def if_finite(is_finite: Array, step: Callable[[], T], unchanged: T) -> T:
    """The results of `step()` where the gradient is finite, else what is unchanged.

    A condition costs nothing on CPU, while a select of each leaf slows Adam's kernels (benchmarks/NOTES.md).
    """
    return jax.lax.cond(is_finite, step, lambda: unchanged)


def no_skipped() -> Skipped:
    """The counts of a fresh agent."""
    return Skipped(jnp.int32(0), jnp.int32(0))


def count_critic(skipped: Skipped, critic_finite: Array) -> Skipped:
    """The counts after the critic's step, which an update begins with."""
    return Skipped(skipped.in_a_row + ~critic_finite, skipped.total + ~critic_finite)


def count_actor(skipped: Skipped, critic_finite: Array, both_finite: Array) -> Skipped:
    """The counts after the actor's step; an update in which both gradients are not finite counts once."""
    only_actor_failed = critic_finite & ~both_finite
    in_a_row = jnp.where(both_finite, 0, skipped.in_a_row + only_actor_failed)
    return Skipped(in_a_row, skipped.total + only_actor_failed)

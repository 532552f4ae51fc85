"""Settings of the replay memory."""

from dataclasses import dataclass
from typing import Literal

from ddpg_jax.config.rules import AT_LEAST_ONE, INT32, NOT_NEGATIVE, UNIT, Together, setting


@dataclass(frozen=True)
class ReplayConfig:
    """The replay memory, and how batches are drawn from it."""

    capacity: int = setting(1_000_000, INT32)
    """Transitions kept, over all environments; the oldest are overwritten."""
    batch_size: int = setting(256, AT_LEAST_ONE)
    """Rows of a batch."""
    discount: float = setting(0.99, UNIT)
    """Discount gamma of one step."""
    n_step: int = setting(1, AT_LEAST_ONE)
    """Steps folded into one row, never across an episode's end."""
    sampling: Literal["uniform", "prioritized"] = "uniform"
    """Which rows are drawn: all alike, or those with a large TD error more often."""
    priority_exponent: float = setting(0.6, NOT_NEGATIVE)
    """Prioritised only: alpha, rows are drawn in proportion to |TD error|^alpha."""
    importance_exponent: float = setting(0.4, UNIT)
    """Prioritised only: beta at the start, the share of that bias which the weights of the loss take back."""
    importance_steps: int = setting(100_000, NOT_NEGATIVE)
    """Prioritised only: environment steps over which beta rises to 1; 0 keeps it."""
    hindsight: Literal["none", "final", "future"] = "none"
    """Goal environments only: relabel rows with another goal, which their episode reached at its end ("final") or at a
    random later step ("future")."""
    hindsight_ratio: float = setting(0.8, UNIT)
    """Share of the rows that are relabelled with another goal."""
    compact: bool = False
    """Store each observation once, not a second time as the successor of the step before: 1.07 O + 4 A + 8 bytes of a
    transition in place of 2 O + 4 A + 12, for O bytes of an observation and A action dimensions. Where episodes are cut
    after fewer than 14 steps on average, the last steps of older episodes are lost."""


# Settings that are fine alone and not together: what must hold, and what to say when it does not.
TOGETHER: Together = (
    (
        lambda c: c.batch_size <= c.capacity,
        lambda c, at: (
            f"{at}batch_size = {c.batch_size} must be at most {at}capacity = {c.capacity}; "
            "lower the one or raise the other"
        ),
    ),
)

"""Settings of the training loop, and how many steps and updates they lead to."""

from dataclasses import dataclass

from ddpg_jax.config.rules import AT_LEAST_ONE, AT_LEAST_ONE_OR_NONE, INT32, LARGEST, NOT_NEGATIVE, Together, setting


@dataclass(frozen=True)
class TrainConfig:
    """How long, how often, and how many. All counts of steps are environment steps, over all environments."""

    total_steps: int = setting(1_000_000, INT32)
    """Environment steps of the whole run."""
    num_envs: int = setting(1, AT_LEAST_ONE)
    """Environments stepped together."""
    start_steps: int = setting(1_000, NOT_NEGATIVE)
    """Steps with uniformly random actions before the policy acts."""
    update_after: int = setting(1_000, AT_LEAST_ONE)
    """Steps before the first update."""
    updates_per_step: int = setting(1, AT_LEAST_ONE)
    """Updates after each step of the `num_envs` environments."""
    log_every: int = setting(500, AT_LEAST_ONE)
    """Steps over which a row of metrics averages the updates; a compiled chunk has at most so many."""
    eval_every: int = setting(1_000, NOT_NEGATIVE)
    """Steps between evaluations while training; 0 evaluates at the end only."""
    eval_episodes: int = setting(10, AT_LEAST_ONE)
    """Episodes of each of these evaluations."""
    final_eval_episodes: int = setting(100, NOT_NEGATIVE)
    """Episodes of the evaluation of the final policy; 0 leaves it out."""
    eval_steps: int | None = setting(None, AT_LEAST_ONE_OR_NONE)
    """Steps after which an episode of an evaluation is cut and counts as it is; None waits for its end."""
    eval_envs: int = setting(10, NOT_NEGATIVE)
    """Environments that play the evaluations; 0: those of the training, whose episodes are then played again from their
    starts. With `num_envs` 1 there is then never a second one."""
    probe_every: int = setting(500, NOT_NEGATIVE)
    """Steps between probes: the policy's actions and their Q on states that stay the same; 0 for none."""
    max_skipped_updates: int = setting(100, AT_LEAST_ONE)
    """Updates skipped in a row, since a gradient was not finite, after which the run stops."""


def num_updates(train: TrainConfig, steps: int) -> int:
    """Updates made in the first `steps` environment steps of a run.

    All environments step at once, so both counts of steps are rounded up to a multiple of `num_envs`.
    """
    waits, turns = -(-train.update_after // train.num_envs), -(-steps // train.num_envs)
    return max(0, turns - waits) * train.updates_per_step


def most_steps(train: TrainConfig) -> int:
    """The largest `total_steps` whose steps and updates can be counted in int32."""
    waits, largest = -(-train.update_after // train.num_envs), int(LARGEST[int])
    return train.num_envs * min(largest // train.num_envs, largest // train.updates_per_step + waits)


# Settings that are fine alone and not together: what must hold, and what to say when it does not.
TOGETHER: Together = (
    (
        lambda c: c.total_steps <= most_steps(c),
        lambda c, at: (
            f"{at}total_steps = {c.total_steps} must be at most {most_steps(c)} with {at}num_envs = {c.num_envs} "
            f"and {at}updates_per_step = {c.updates_per_step}: steps and updates are counted in int32"
        ),
    ),
)

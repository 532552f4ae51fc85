"""How many updates a run makes by its settings: none is refused, few are said."""

from dataclasses import replace

from ddpg_jax.config import LARGEST, Config, ConfigError, TrainConfig, num_updates

# Fewer updates than one in so many environment steps are few.
FEW = 2
# What to try where the first update comes too late: a tenth of the run, and not more than most environments need.
USUAL_START, SHARE = 1_000, 10


def check_updates(config: Config) -> None:
    """Refuse settings with which the policy is never updated; the run would end with the policy it began with.

    Not in `validate`: what a run was is read from its settings, and who only collects makes a trainer, too.

    Raises:
        ConfigError: naming the settings that leave no update, and some that leave enough.
    """
    problem = no_update(config) or (None if config.demonstrations else no_batch(config))
    if problem:
        raise ConfigError(problem)


def no_update(config: Config) -> str | None:
    """Why the actor is never updated, or None; `policy_delay` updates of the critics come before its first."""
    train, delay = config.train, config.agent.policy_delay
    updates = num_updates(train, train.total_steps)
    if updates >= delay:
        return None
    if updates == 0:
        problem = f"train.update_after = {train.update_after} leaves no update in {run_length(train)}"
    else:
        problem = (
            f"agent.policy_delay = {delay} leaves the actor no update among the {updates} of {run_length(train)} with "
            f"train.update_after = {train.update_after}"
        )
    return f"{problem}; {remedy(train, delay)}"


def run_length(train: TrainConfig) -> str:
    """The run's steps in words."""
    beside = f" of train.num_envs = {train.num_envs} environments" if train.num_envs > 1 else ""
    return f"train.total_steps = {train.total_steps}{beside}"


def first_update(train: TrainConfig) -> int:
    """An `update_after` that leaves most of the run for learning."""
    return max(1, min(USUAL_START, train.total_steps // SHARE))


def remedy(train: TrainConfig, delay: int) -> str:
    """Flags with which the actor is updated: an earlier first update, or a longer run."""
    start = first_update(train)
    longer = (-(-train.update_after // train.num_envs) + -(-delay // train.updates_per_step)) * train.num_envs
    ways = []
    if num_updates(replace(train, update_after=start), train.total_steps) >= delay:
        random = f"--train.start-steps {start} " if train.start_steps > start else ""
        ways.append(f"{random}--train.update-after {start}")
    if longer <= LARGEST[int]:
        ways.append(f"--train.total-steps {longer} or more")
    return f"try {', or '.join(ways)}"


def no_batch(config: Config, demonstrations: int = 0) -> str | None:
    """Why the memory never holds as many transitions as a batch has rows, or None.

    Args:
        config: the settings.
        demonstrations: transitions that the memory begins with.
    """
    train, size = config.train, config.replay.batch_size
    stored = demonstrations + -(-train.total_steps // train.num_envs) * train.num_envs
    if size <= stored:
        return None
    beside = f" and {demonstrations:,} demonstrations" if demonstrations else ""
    return (
        f"replay.batch_size = {size} is never reached in {run_length(train)}{beside}; lower the one or raise the other"
    )


def few_updates(train: TrainConfig) -> tuple[str, ...]:
    """A sentence for each setting that leaves far fewer updates than environment steps."""
    updates, steps = num_updates(train, train.total_steps), train.total_steps
    total = f"{updates:,} updates in {steps:,} environment steps"
    found = []
    if updates == 0:
        found.append(f"No update in {steps:,} environment steps: train.update_after is {train.update_after:,}.")
    elif FEW * train.update_after > steps:
        found.append(
            f"Only {total}: the first comes after {train.update_after:,}; --train.update-after sets that, with "
            "--train.start-steps."
        )
    if FEW * train.updates_per_step < train.num_envs:
        found.append(
            f"Only {total}: {train.num_envs} environments share {train.updates_per_step} of them per step; "
            f"--train.updates-per-step {train.num_envs} makes one for each environment step."
        )
    return tuple(found)

"""Which checkpoint of a run a person means: the last one, that of the best evaluation, or that of a step."""

from collections.abc import Callable
from pathlib import Path

from ddpg_jax.config import ConfigError, shown
from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage import best_policy
from ddpg_jax.runs.storage.checkpoint import Checkpoint, complete, newest, read_checkpoint, step_of
from ddpg_jax.runs.storage.directory import CHECKPOINTS

LAST, BEST = "last", "best"


def choose(run: Path, wanted: str | int, warn: Callable[[str], None]) -> Checkpoint:
    """The checkpoint that a person means, every byte of it checked.

    Args:
        run: the run directory, which is only read.
        wanted: "last", "best", or the step at which it was taken.
        warn: called with one line for each damaged checkpoint that is newer than the last whole one.

    Raises:
        ConfigError: if there is none such, naming those that are kept.
        StorageError: if it is damaged, or none is there at all.
    """
    if wanted == LAST:
        found = newest(run, warn)
        if found is None:
            raise StorageError(f"{run} holds no checkpoint")
        return found
    path = path_of(run, wanted)
    try:
        return read_checkpoint(path)
    except StorageError:
        if path.exists():
            raise
        return choose(run, wanted, warn)  # it was pruned meanwhile, by the process that writes


def path_of(run: Path, wanted: str | int) -> Path:
    """The folder of the best policy, or of a step: where it has two, the one with its return; raises as `choose`."""
    policies, whole = best_policy.kept(run / CHECKPOINTS), complete(run / CHECKPOINTS)
    if wanted == BEST and policies:
        return policies[-1]
    of_step = {str(step_of(path)): path for path in [*whole, *policies]}
    if str(wanted) in of_step:
        return of_step[str(wanted)]
    if wanted == BEST:
        raise ConfigError(f"{run} holds no best policy, since no evaluation kept one so far; {remedy(of_step)}")
    if not str(wanted).isdecimal():
        raise ConfigError(f"checkpoint = {shown(wanted)} must be 'last', 'best' or a step; {remedy(of_step)}")
    raise ConfigError(f"{run} keeps no checkpoint of step {wanted}; {remedy(of_step)}")


def remedy(of_step: dict[str, Path]) -> str:
    """The steps of the checkpoints that can be chosen."""
    return f"there are those of the steps {', '.join(sorted(of_step, key=int))}"

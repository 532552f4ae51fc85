"""How a run can end other than well, each with the exit code that the command line gives it."""

from ddpg_jax.config import ConfigError
from ddpg_jax.envs.protocol import EnvError

DONE, INPUT_ERROR, ENV_FAULT, NUMERICAL_FAULT, STORAGE_FAULT, STOPPED, INTERRUPTED = 0, 2, 3, 4, 5, 75, 130


def first_line(error: Exception) -> str:
    """What an exception says, in one line without control characters, or its type where it says nothing."""
    return repr(next(iter(str(error).splitlines()), type(error).__name__))[1:-1]


class BrokenEnvError(EnvError):
    """Environments that failed while training or evaluating; everything learned is in a checkpoint."""


class NumericalError(Exception):
    """Gradients that stay non-finite; the last finite parameters are in a checkpoint."""


class StorageError(Exception):
    """Files that cannot be written, or that are not what was written."""


class StoppedError(Exception):
    """A run that was asked to stop; everything is in a checkpoint."""


# The first that fits: a BrokenEnvError is an EnvError, too.
EXIT_CODES: dict[type[Exception], int] = {
    BrokenEnvError: ENV_FAULT,
    NumericalError: NUMERICAL_FAULT,
    StorageError: STORAGE_FAULT,
    ConfigError: INPUT_ERROR,
    EnvError: INPUT_ERROR,
}


def as_run_error(error: Exception, where: str = "") -> BrokenEnvError | StoppedError:
    """What ends a run whose environments failed: where one raised KeyboardInterrupt, that is a stop.

    Args:
        error: of the environments.
        where: it was, in words that come before those of the error.
    """
    return (StoppedError if is_interrupt(error) else BrokenEnvError)(f"{where}{error}")


def is_interrupt(error: Exception) -> bool:
    """Whether environments failed since one of them raised KeyboardInterrupt."""
    return isinstance(error.__cause__, KeyboardInterrupt)

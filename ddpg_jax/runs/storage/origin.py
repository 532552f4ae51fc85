"""The run that another began with, as its settings remember it; from a file it is data, and shown as such."""

from typing import Any, NamedTuple


class Origin(NamedTuple):
    """What a run began with in place of fresh networks.

    Attributes:
        run: directory of the run that the parameters are of, as it was typed.
        checkpoint: which of its checkpoints was asked for.
        step: environment steps of that run at this checkpoint.
        replay: whether the memory is that run's, too.
    """

    run: str
    checkpoint: str
    step: int
    replay: bool


def read_origin(values: Any) -> Origin | None:
    """An origin from a file, None where there is none.

    Raises:
        ValueError: if it is none.
    """
    if values is None:
        return None
    origin = Origin(**values)
    if any(type(value) is not kind for value, kind in zip(origin, (str, str, int, bool), strict=True)):
        raise ValueError("no origin of a run")
    return origin

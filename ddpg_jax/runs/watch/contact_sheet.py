"""The contact sheet: pictures of a few episodes at equal distances, however long they are."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.watch.episode import Moment

COLUMNS = 8
ROWS = 20
WIDTH = 160
GAP, LINE, SIZE = 8, 18, 12
# Pictures of an episode that are held at most while it is not known how long it will be.
HELD = 64


def sample(moments: Iterable[Moment]) -> list[Moment]:
    """At most `COLUMNS` moments of an episode, with small pictures: its first, its last, and equal distances between.

    No more than `HELD` are held, those of steps 0, s, 2s, ..., with s doubling as the episode turns out to be long.
    """
    stride, held = 1, []
    for moment in moments:
        if moment.step % stride == 0:
            held.append(shrink(moment))
        if len(held) > HELD:
            stride, held = 2 * stride, held[::2]
    known = {small.step: small for small in (*held, shrink(moment))}
    steps = np.array(list(known))
    wanted = np.linspace(0, moment.step, COLUMNS)
    return [known[step] for step in sorted({int(steps[np.abs(steps - step).argmin()]) for step in wanted})]


def shrink(moment: Moment) -> Moment:
    """The moment with a picture `WIDTH` wide."""
    import PIL.Image

    height, width, _ = moment.frame.shape
    size = WIDTH, max(1, round(height * WIDTH / width))
    return moment._replace(frame=np.asarray(PIL.Image.fromarray(moment.frame).resize(size, reducing_gap=2.0)))


def write_sheet(path: Path, rows: Sequence[tuple[str, list[Moment]]]) -> None:
    """Write a PNG with a row for each episode, every picture with its step and the return so far.

    Args:
        path: to be written.
        rows: a heading and the sampled moments of each episode.

    Raises:
        StorageError: if it cannot be written.
    """
    import PIL.Image
    import PIL.ImageDraw

    height = max(moments[0].frame.shape[0] for _, moments in rows)
    row_height = LINE + height + LINE + 2 * GAP
    sheet = PIL.Image.new("RGB", (GAP + COLUMNS * (WIDTH + GAP), GAP + len(rows) * row_height), "gainsboro")
    draw = PIL.ImageDraw.Draw(sheet)
    for index, (heading, moments) in enumerate(rows):
        top = GAP + index * row_height
        draw.text((GAP, top), heading, "black", font_size=SIZE)
        paste(sheet, draw, moments, top + LINE + GAP // 2)
    try:
        sheet.save(path, "PNG")
    except OSError as error:
        raise StorageError(f"the contact sheet cannot be written: {error.strerror}") from error


def paste(sheet: Any, draw: Any, moments: Sequence[Moment], top: int) -> None:
    """Put the pictures of an episode beside each other, each with a line below it."""
    import PIL.Image

    for column, moment in enumerate(moments):
        left = GAP + column * (WIDTH + GAP)
        sheet.paste(PIL.Image.fromarray(moment.frame), (left, top))
        draw.text(
            (left, top + moment.frame.shape[0] + 2),
            f"step {moment.step}   return {moment.value:.1f}",
            "dimgray",
            font_size=SIZE,
        )

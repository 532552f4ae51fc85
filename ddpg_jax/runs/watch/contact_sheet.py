"""The contact sheet: pictures of a few episodes at equal distances, however long they are."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.watch.episode import Frame

COLUMNS = 8
ROWS = 20
WIDTH = 160
GAP, LINE, SIZE = 8, 18, 12
# Pictures of an episode that are stored at most while it is not known how long it will be.
MOST_STORED = 64


def sample(frames: Iterable[Frame]) -> list[Frame]:
    """At most `COLUMNS` frames of an episode, with small pictures: its first, its last, and equal distances between.

    No more than `MOST_STORED` are stored, those of steps 0, s, 2s, ..., with s doubling as the episode turns out long.
    """
    stride, stored = 1, []
    for frame in frames:
        if frame.step % stride == 0:
            stored.append(shrink(frame))
        if len(stored) > MOST_STORED:
            stride, stored = 2 * stride, stored[::2]
    known = {small.step: small for small in (*stored, shrink(frame))}
    steps = np.array(list(known))
    wanted = np.linspace(0, frame.step, COLUMNS)
    return [known[step] for step in sorted({int(steps[np.abs(steps - step).argmin()]) for step in wanted})]


def shrink(frame: Frame) -> Frame:
    """The frame with a picture `WIDTH` wide."""
    import PIL.Image

    height, width, _ = frame.image.shape
    size = WIDTH, max(1, round(height * WIDTH / width))
    return frame._replace(image=np.asarray(PIL.Image.fromarray(frame.image).resize(size, reducing_gap=2.0)))


def write_sheet(path: Path, rows: Sequence[tuple[str, list[Frame]]]) -> None:
    """Write a PNG with a row for each episode, every picture with its step and the return so far.

    Args:
        path: to be written.
        rows: a heading and the sampled frames of each episode.

    Raises:
        StorageError: if it cannot be written.
    """
    import PIL.Image
    import PIL.ImageDraw

    height = max(frames[0].image.shape[0] for _, frames in rows)
    row_height = LINE + height + LINE + 2 * GAP
    sheet = PIL.Image.new("RGB", (GAP + COLUMNS * (WIDTH + GAP), GAP + len(rows) * row_height), "gainsboro")
    draw = PIL.ImageDraw.Draw(sheet)
    for index, (heading, frames) in enumerate(rows):
        top = GAP + index * row_height
        draw.text((GAP, top), heading, "black", font_size=SIZE)
        paste(sheet, draw, frames, top + LINE + GAP // 2)
    try:
        sheet.save(path, "PNG")
    except OSError as error:
        raise StorageError(f"the contact sheet cannot be written: {error.strerror}") from error


def paste(sheet: Any, draw: Any, frames: Sequence[Frame], top: int) -> None:
    """Put the pictures of an episode beside each other, each with a line below it."""
    import PIL.Image

    for column, frame in enumerate(frames):
        left = GAP + column * (WIDTH + GAP)
        sheet.paste(PIL.Image.fromarray(frame.image), (left, top))
        draw.text(
            (left, top + frame.image.shape[0] + 2),
            f"step {frame.step}   return {format_number(frame.value)}",
            "dimgray",
            font_size=SIZE,
        )

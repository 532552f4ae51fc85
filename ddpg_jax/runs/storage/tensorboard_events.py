"""Event files of TensorBoard, written record by record, so that no thread takes the interpreter."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TENSORBOARD = "tensorboard"


class Events(NamedTuple):
    """An event file.

    Attributes:
        add: writes an event with these fields, as TensorBoard's protocol names them.
        close: completes what is on disk.
    """

    add: Callable[..., None]
    close: Callable[[], None]


def open_events(folder: Path) -> Events:
    """Begin a new event file in a folder, which is made if it is not there."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(exist_ok=True)
    name = f"events.out.tfevents.{time.time():010.0f}.{platform.node()}.{os.getpid()}.{len(list(folder.iterdir()))}"
    file = RecordWriter((folder / name).open("xb", buffering=0))

    def add(**fields: object) -> None:
        file.write(Event(wall_time=time.time(), **fields).SerializeToString())

    add(file_version="brain.Event:2")
    return Events(add, file.close)


def add_image(folder: Path, tag: str, step: int, image: bytes, size: tuple[int, int]) -> None:
    """Add a picture, or an animated GIF, which TensorBoard plays.

    Args:
        folder: of the event files.
        tag: its name there.
        step: environment steps that it is of.
        image: the encoded file.
        size: width and height in pixels.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = size
    picture = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=image)
    events = open_events(folder)
    events.add(step=step, summary=Summary(value=[Summary.Value(tag=tag, image=picture)]))
    events.close()

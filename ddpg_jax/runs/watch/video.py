"""Pictures to MP4 and GIF, one at a time: however long an episode is, no more than one is held."""

import contextlib
import itertools
import math
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ddpg_jax.config import ConfigError
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.runs.console.errors import StorageError

# Browsers show each picture of a GIF for at least 1/50 s.
GIF_RATE = 50
# What FFmpeg makes of the pictures, by suffix. The codec of MP4 needs even sides. A GIF has 256 colours of its own
# for each picture: to choose them for all pictures, all would have to be in memory.
ENCODINGS = {
    ".mp4": ("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p"),
    ".gif": ("-vf", "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:dither=none"),
}


def check_encoder() -> None:
    """Raise ConfigError where what writes pictures is not installed."""
    try:
        import imageio_ffmpeg
        import PIL.Image  # noqa: F401

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f"watch needs FFmpeg and Pillow: pip install 'ddpg_jax[watch]' ({error})") from error


@contextlib.contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """A folder for files that are not finished, beside where they will be; it is removed with what is left in it.

    Raises:
        StorageError: if nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-")
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}; choose another --output") from error
    with place as name:
        yield Path(name)


def move_into_place(folder: Path, *paths: Path) -> None:
    """Put drafts of the same names where they shall be; what is there is replaced.

    Raises:
        StorageError: if one cannot be put there.
    """
    for path in paths:
        try:
            (folder / path.name).replace(path)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}; choose another --output") from error


@contextlib.contextmanager
def write_video(path: Path, shape: tuple[int, ...], rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Give `show(image)`, which adds a picture.

    Args:
        path: to be written; its suffix, .mp4 or .gif, is the format.
        shape: `[H, W, 3]` of every picture, uint8.
        rate: pictures a second; where that is too fast for a GIF, every k-th is kept.

    Raises:
        EnvError: if a picture has another shape.
        StorageError: if the film cannot be written.
    """
    every = math.ceil(rate / GIF_RATE) if path.suffix == ".gif" else 1
    numbers = itertools.count()
    with tempfile.TemporaryFile() as log:
        encoder = start_encoder(path, shape, rate / every, log)
        pipe: IO[bytes] = encoder.stdin  # type: ignore[assignment]

        def show(image: np.ndarray) -> None:
            if image.shape != shape:
                raise EnvError(f"the pictures change from {shape} to {image.shape}; a film needs one size")
            if next(numbers) % every == 0:
                try:
                    pipe.write(np.ascontiguousarray(image).data)
                except BrokenPipeError:
                    raise failure(encoder, log) from None

        try:
            yield show
        finally:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            encoder.wait()
        if encoder.returncode:
            raise failure(encoder, log)


def start_encoder(path: Path, shape: tuple[int, ...], rate: float, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """FFmpeg in a process of its own, which reads pictures from its input and writes a film."""
    import imageio_ffmpeg

    height, width, _ = shape
    pictures = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{rate:.6g}", "-i", "-")
    command = (imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *pictures, *ENCODINGS[path.suffix], f"file:{path}")
    # In a group of its own Ctrl-C does not reach it. imageio_ffmpeg's own writer would fork a process that runs JAX's
    # threads, and does not tell whether the film was written.
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0)


def failure(encoder: subprocess.Popen[bytes], log: IO[bytes]) -> StorageError:
    """Why FFmpeg ended, as it says itself."""
    encoder.wait()
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    return StorageError(f"the film cannot be written: {said[-1] if said else f'exit code {encoder.returncode}'}")

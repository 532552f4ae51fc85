"""The film in TensorBoard, beside the figures of its run: as an animated GIF, small, since a browser holds it whole."""

import subprocess
import tempfile
from pathlib import Path

from ddpg_jax.runs.console.errors import StorageError
from ddpg_jax.runs.storage.tensorboard_events import TENSORBOARD, add_image
from ddpg_jax.runs.storage.writers import installed

TAG = "watch/film"
# Pictures a second, pixels of width, and seconds of the film.
RATE, WIDTH, SECONDS = 10, 240, 30


def add_film(run: Path, film: Path, step: int) -> bool:
    """Add a film to the TensorBoard of a run; returns whether the run has one, and its package is installed.

    Args:
        run: the run directory.
        film: a file that is whole.
        step: environment steps of its policy.

    Raises:
        StorageError: if it cannot be written.
    """
    import PIL.Image

    if not (run / TENSORBOARD).is_dir() or not installed("tensorboard"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "film.gif"
        shrink(film, small)
        with PIL.Image.open(small) as picture:
            size = picture.size
        try:
            add_image(run / TENSORBOARD, TAG, step, small.read_bytes(), size)
        except OSError as error:
            raise StorageError(f"{run / TENSORBOARD} cannot be written: {error.strerror}") from error
    return True


def shrink(film: Path, small: Path) -> None:
    """Make a small GIF of the beginning of a film."""
    import imageio_ffmpeg

    filters = f"fps={RATE},scale={WIDTH}:-2,split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"
    command = (imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-t", str(SECONDS), "-i", f"file:{film}")
    done = subprocess.run([*command, "-vf", filters, f"file:{small}"], capture_output=True, text=True)
    if done.returncode:
        raise StorageError(f"{film} cannot be shown in TensorBoard: {done.stderr.strip().splitlines()[-1]}")

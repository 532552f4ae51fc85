"""The notebook as a page: its text, its code, and what it printed and drew when it was run."""

import base64
import json
import pathlib
from collections.abc import Iterator
from typing import Any

HEAD = """\
<!-- Made by `python -m docs.generate` from examples/tutorial.ipynb. -->

"""


def page(notebook: pathlib.Path, images: pathlib.Path) -> str:
    """The page in Markdown; its pictures are written.

    Args:
        notebook: an executed notebook.
        images: an existing folder, `images` beside the page.
    """
    cells = json.loads(notebook.read_text())["cells"]
    return HEAD + "\n".join(part for number, cell in enumerate(cells) for part in parts(number, cell, images))


def parts(number: int, cell: dict[str, Any], images: pathlib.Path) -> Iterator[str]:
    """A cell, and after code what came of it."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source + "\n"
        return
    yield fence("python", source)
    for output in cell["outputs"]:
        yield from shown(number, output, images)


def shown(number: int, output: dict[str, Any], images: pathlib.Path) -> Iterator[str]:
    """One output of a cell: a picture, or text."""
    data = output.get("data", {})
    if "image/png" in data:
        name = f"tutorial-{number:02d}.png"
        (images / name).write_bytes(base64.b64decode(data["image/png"]))
        yield f"![Output of the cell above](images/{name})\n"
    else:
        yield fence("text", "".join(output.get("text") or data["text/plain"]))


def fence(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"

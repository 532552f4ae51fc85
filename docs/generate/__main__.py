"""Make the pages and pictures that are not written by hand: `python -m docs.generate`.

`settings.md` and `figures.md` are committed, and a test compares them with what is made here. The tutorial and the
pictures are copies of what lies elsewhere in the repository, and are not committed.
"""

import pathlib
import shutil

from docs.generate import figures, settings, tutorial

DOCS = pathlib.Path(__file__).parents[1]
ROOT = DOCS.parent
RESULTS = ROOT / "benchmarks" / "results"
PICTURES = (
    "report-1440.png", "intel-xeon-2-threads-learning_parity.png", "intel-xeon-2-threads-training.png",
    "intel-xeon-2-threads-growing.png",
)  # fmt: skip


def main() -> None:
    """Write all of them."""
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    for name in PICTURES:
        shutil.copyfile(RESULTS / name, images / name)
    (DOCS / "settings.md").write_text(settings.page())
    (DOCS / "figures.md").write_text(figures.page(RESULTS))
    (DOCS / "tutorial.md").write_text(tutorial.page(ROOT / "examples" / "tutorial.ipynb", images))


if __name__ == "__main__":
    main()

"""Screenshots of the report: `python -m benchmarks.screenshots RUN`.

Needs playwright and chromium. The whole page, as a phone and a wide screen show it, goes to `benchmarks/results/`.
"""

import argparse
import io
import pathlib
import shutil
import tempfile

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from ddpg_jax.runs.report.write import write_report

RESULTS = pathlib.Path(__file__).parent / "results"
LARGEST = 400_000
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


def take(browser: Browser, page_file: pathlib.Path, width: int, dark: bool) -> pathlib.Path:
    """One picture of the whole page.

    Raises:
        ValueError: if the page is wider than the screen, or the picture larger than it may be.
    """
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page.goto(page_file.as_uri())
    page.evaluate("() => report.ready.then(() => true)")
    if page.evaluate("() => document.documentElement.scrollWidth") > width:
        raise ValueError(f"the page is wider than {width} pixels")
    picture = RESULTS / f"report-{width}{'-dark' if dark else ''}.png"
    # A palette of 256 colours is enough for a page like this one, and half the size.
    image = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(picture, optimize=True)
    page.close()
    if picture.stat().st_size > LARGEST:
        raise ValueError(f"{picture} has {picture.stat().st_size:,} bytes; at most {LARGEST:,} are kept")
    return picture


def main() -> None:
    """Report a run and take its pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=pathlib.Path, help="run directory of a training that has ended")
    run = parser.parse_args().run
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = write_report((run,), pathlib.Path(folder) / "report.html")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(QUIET))
        for width, dark in ((390, False), (1440, False), (1440, True)):
            print(take(browser, page_file, width, dark))
        browser.close()


if __name__ == "__main__":
    main()

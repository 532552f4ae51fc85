"""The page in a real browser, without a window and without a network."""

import pathlib
import shutil
import time

import pytest
from made_runs import whole_run, write_run

from ddpg_jax.runs.report.figures import TOPICS
from ddpg_jax.runs.report.page import plotly_script
from ddpg_jax.runs.report.write import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no chromium is installed", allow_module_level=True)
# `ddpg-jax train`, 10,000 steps of Pendulum.
REAL = pathlib.Path(__file__).parent / "real" / "good"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A made run with everything in it, a real one, several runs, and one that has hardly begun."""
    folder = tmp_path_factory.mktemp("runs")
    run = write_run(folder / "run", whole_run())
    several = [
        write_run(folder / f"{tau}-{seed}", whole_run(), tau=tau, seed=seed, hidden_sizes=(64,) * (1 + int(100 * tau)))
        for tau in (0.001, 0.01, 0.1) for seed in range(2)
    ]  # fmt: skip
    begun = write_run(folder / "begun", whole_run()[:3], tail='{"kind"')
    made = {"run": (run,), "real": (REAL,), "several": tuple(several), "begun": (begun,)}
    return {name: write_report(paths, folder / f"{name}.html") for name, paths in made.items()}


@pytest.fixture(scope="module")
def visit(pages):
    """`visit(name, width, scheme)` shows a page; at the end, none complained of anything or asked for anything."""
    heard, opened = [], {}

    def visit(name, width=1440, scheme="light"):
        if name not in opened:
            page = opened[name] = browser.new_page()
            page.on("console", lambda message: heard.append(message.text))
            page.on("pageerror", lambda error: heard.append(str(error)))
            page.on("request", lambda request: heard.append(request.url))
            page.goto(pages[name].as_uri())
        page = opened[name]
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.evaluate("() => report.ready.then(() => true)")
        until(lambda: too_wide(page) == [])
        return page

    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield visit
        browser.close()
    own = [pages[name].as_uri() for name in opened]
    assert [what for what in heard if what not in own and not what.startswith("data:")] == []


def until(done, seconds=10.0):
    """Give the page time; whether it came to it is for the test to say."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)


def too_wide(page):
    """What is wider than there is room for."""
    parts = page.locator("html, body, main, .figure, .plot, .verdict, .facts")
    return parts.evaluate_all("all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.id || e.tagName)")


def shown(page, selector):
    return page.locator(selector).evaluate_all("all => all.filter(e => e.checkVisibility()).length")


def colour(page, selector, of="backgroundColor"):
    return page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{of}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", ["run", "real", "several"])
def test_every_figure_is_drawn_and_nothing_overflows(visit, name, width, scheme):
    page = visit(name, width, scheme)
    number = 6 if name == "several" else len(TOPICS)
    assert page.locator("[data-figure]").count() == number
    assert shown(page, ".plot .main-svg:first-child") == number
    assert shown(page, ".missing") == 0
    marks = "e => e.querySelectorAll('path.js-line, path.point, .heatmaplayer image').length"
    assert all(plot.evaluate(marks) > 0 for plot in page.locator(".plot").all())
    assert too_wide(page) == []
    card = {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 27, 33)"}[scheme]
    until(lambda: colour(page, ".plot .main-svg") == card)
    assert colour(page, ".figure") == colour(page, ".plot .main-svg") == card


OVERPRINTED = """() => [...document.querySelectorAll(".plot")].flatMap((plot) => {
  const seen = [...plot.querySelectorAll("text")].filter((text) => text.checkVisibility() && text.textContent.trim());
  const boxes = seen.map((text) => [text.textContent, text.getBoundingClientRect()]).filter(([, box]) => box.width > 0);
  return boxes.flatMap(([one, a], index) => boxes.slice(index + 1)
    .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1)
    .filter(([, b]) => Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
    .map(([other]) => `${one} / ${other}`));
})"""


@pytest.mark.parametrize("name", ["run", "real", "several"])
def test_no_text_of_a_figure_is_printed_over_another(visit, name):
    for width in (390, 1440):
        assert visit(name, width).evaluate(OVERPRINTED) == [], width


@pytest.mark.parametrize("run", ["run", "real"])
@pytest.mark.parametrize(
    ("name", "expected"), [("learning", "evaluations"), ("q_target", "TD target"), ("policy", "probe state")]
)
def test_hovering_shows_the_values(visit, run, name, expected):
    page = visit(run)
    page.locator(f"#{name} .plot").scroll_into_view_if_needed()
    page.locator(f"#{name} .nsewdrag").first.hover()
    label = page.locator(f"#{name} .hoverlayer")
    until(lambda: label.text_content())
    words = label.text_content()
    assert expected in words
    assert "step" in words
    assert any(letter.isdigit() for letter in words)


def test_the_button_changes_the_colours_of_everything(visit):
    page = visit("run")
    look = lambda: [  # noqa: E731
        colour(page, "body"), colour(page, ".plot .main-svg"), colour(page, ".xtick text", "fill"),
    ]  # fmt: skip
    light = look()
    page.locator("#theme").click()
    until(lambda: look()[1] != light[1])
    assert all(a != b for a, b in zip(light, look(), strict=True))
    page.locator("#theme").click()
    until(lambda: look() == light)
    assert look() == light


@pytest.mark.parametrize("run", ["run", "real"])
def test_the_legend_switches_a_curve_with_its_band(visit, run):
    page = visit(run)
    plot = page.locator("#learning .plot")
    drawn = lambda: plot.evaluate("e => e._fullData.filter(t => t.visible === true).map(t => t.name)")  # noqa: E731
    name, before = "evaluations: mean, least to greatest", drawn()
    assert before.count(name) == 2
    legend = page.locator("#learning .legend .traces", has_text="evaluations").locator(".legendtoggle")
    legend.click()
    until(lambda: name not in drawn())
    assert drawn() == [each for each in before if each != name]
    page.evaluate("() => report.draw(JSON.parse(document.getElementById('figures').textContent))")
    assert name not in drawn(), "what is switched off stays so when it is drawn again, as a live page does"
    legend.click()
    until(lambda: drawn() == before)
    assert drawn() == before


def test_what_is_not_there_yet_is_said_in_its_place_and_drawn_when_it_is(visit):
    page = visit("begun", 390)
    assert shown(page, ".plot") == 1
    assert shown(page, ".missing") == len(TOPICS) - 1
    page.evaluate("""() => report.draw({speed: {data: [{x: [1, 2], y: [3, 4]}], layout: {meta: {note: "a note"}}}})""")
    assert page.locator("#speed .plot").is_visible()
    assert page.locator("#speed .note").inner_text() == "a note"
    assert not page.locator("#learning .plot").is_visible()


@pytest.mark.parametrize("there", [True, False])
def test_a_small_page_draws_what_it_fetches_or_says_that_it_could_not(pages, visit, tmp_path, there):
    """The browser has no network: what would come from there is put in its place."""
    page = visit("run").context.browser.new_page()
    script = {"body": plotly_script(), "headers": {"Access-Control-Allow-Origin": "*"}}
    page.route("https://cdn.plot.ly/**", lambda route: route.fulfill(**script) if there else route.abort())
    page.goto(write_report((pages["run"].parent / "run",), tmp_path / "small.html", plotly="cdn").as_uri())
    page.evaluate("() => report.ready.then(() => true)")
    assert shown(page, ".plot .main-svg:first-child") == there * len(TOPICS)
    assert shown(page, ".missing") == (not there) * len(TOPICS)
    if not there:
        assert "plotly.js was not fetched" in page.locator(".missing").first.inner_text()
    page.close()

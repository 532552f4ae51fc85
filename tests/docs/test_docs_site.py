"""The site as it is built: no warning, no missing picture; and as a phone and a wide screen show it."""

import functools
import http.server
import pathlib
import re
import shutil
import subprocess
import sys
import threading

import pytest

ROOT = pathlib.Path(__file__).parents[2]
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
COPIED = ("docs", "ddpg_jax", "benchmarks", "examples")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that `zensical build --strict` wrote, in a copy of what it is made from."""
    pytest.importorskip("zensical", reason="the extra docs is not installed")
    place = tmp_path_factory.mktemp("site")
    for name in COPIED:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("mkdocs.yml", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, place / name)
    for words in (["docs.generate"], ["zensical", "build", "--strict"]):
        done = subprocess.run([sys.executable, "-m", *words], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return place / "site"


def pages(site):
    return sorted(path for path in site.rglob("*.html") if path.name != "404.html")


def test_each_page_is_in_the_navigation(site):
    (index,) = [path for path in pages(site) if path.parent == site and path.name == "index.html"]
    linked = set(re.findall(r'href="\./([^"#:]+\.html)" class="md-nav__link"', index.read_text()))
    assert {path.relative_to(site).as_posix() for path in pages(site)} - linked == {"index.html"}


def test_pictures_are_there(site):
    for page in pages(site):
        for source in re.findall(r'<img [^>]*src="([^"]+)"', page.read_text()):
            assert (page.parent / source).exists(), (page.name, source)


@pytest.fixture(scope="module")
def server(site):
    """The address of the site on this machine."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}/"
        found.shutdown()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium is installed")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield found
        found.close()


@pytest.fixture
def show(browser, server):
    """`show(name, width, scheme)` opens a page; at the end, none complained or asked for anything outside."""
    complaints, contexts = [], []

    def show(name, width, scheme):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda response: response.status < 400 or complaints.append(response.url))
        page.on("request", lambda request: inside(request.url) or complaints.append(request.url))
        page.goto(server + name, wait_until="load")
        return page

    def inside(address):
        return address.startswith((server, "data:", "blob:"))

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")])
def test_no_page_is_wider_than_the_screen(site, show, width, scheme):
    page = show("index.html", width, scheme)
    base = page.url.removesuffix("index.html")
    for path in pages(site):
        page.goto(base + path.relative_to(site).as_posix(), wait_until="load")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path.name


def test_dark_and_light_are_two_backgrounds(show):
    color = "() => getComputedStyle(document.body).backgroundColor"
    light, dark = (show("concepts.html", 1440, scheme).evaluate(color) for scheme in ("light", "dark"))
    assert light != dark


@pytest.mark.parametrize(("words", "found"), [("hindsight", "options.html"), ("make_replay", "reference/replay.html")])
def test_the_search_finds(show, words, found):
    page = show("index.html", 1440, "light")
    page.locator(".md-search__button").click()
    page.locator("input[aria-label=Search]").fill(words)
    # Locators look into the search's shadow root, too.
    page.locator(f'a[href*="{found}?h="]').first.wait_for(timeout=10_000)

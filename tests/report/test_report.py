"""A report is one page: what the stores hold, nothing that runs or loads from elsewhere, and a browser has no complaint."""

import html.parser
import re
import shutil
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from rfjax.experiments.cells import Cell, run_cells
from rfjax.report import page, section
from rfjax.report.figure import inline
from rfjax.storage import StorageError, open_store, read_store

FIGURES = Path(__file__).parents[2] / "docs/figures"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def rows(number):
    return [{"d": number, "view": "<b>ntk</b>", "error": -0.125 * number, "width": None}]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores: a complete run of `separation` with its figures, and an interrupted one of an experiment unknown here."""
    folder = tmp_path_factory.mktemp("results")
    known, other = folder / "separation" / "separation.sqlite", folder / "other" / "other.sqlite"
    configuration = {"experiment": "separation", "dims": [10, 30], "source": {"rows": None, "data": "<x>"}}
    todo = [Cell(str(n), {"experiment": "separation", "cell": n}, partial(rows, n)) for n in range(4)]
    run_cells(todo, known, configuration)
    run_cells(todo[2:0:-1], known, configuration)  # the last run: two of the cells, in another order
    for name in ("separation", "widths"):
        shutil.copy(FIGURES / f"{name}.svg", known.parent)
    with open_store(other, {"experiment": "other"}) as store:
        store.finish("cell", {"cell": 0}, rows(7), 1.0)
    return known, other


@pytest.fixture(scope="module")
def text(stores):
    return page([section(path) for path in stores])


def test_a_section_is_the_last_complete_run_or_what_there_is_of_one(stores):
    known, other = map(section, stores)
    assert known.complete and not other.complete
    assert [row["d"] for row in known.tables["separation"]] == [2, 1]
    assert [row["d"] for row in other.tables["other"]] == [7]
    assert known.claim.startswith("The claim: a single ReLU neuron")
    assert other.claim == ""
    assert {"jax", "rfjax"} <= set(known.versions)
    assert set(known.figures) == {"separation", "widths"}


def test_the_page_says_everything_once_and_escapes_it(text):
    class Tags(html.parser.HTMLParser):
        found: ClassVar[list] = []

        def handle_starttag(self, tag, attributes):
            self.found.append((tag, dict(attributes)))

    parser = Tags()
    parser.feed(text)
    tags = [tag for tag, _ in parser.found]
    assert tags.count("section") == 2 and tags.count("svg") == 2 and "script" not in tags
    ids = [attributes["id"] for _, attributes in parser.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    assert used <= set(ids)
    assert "&lt;b&gt;ntk&lt;/b&gt;" in text and "<b>ntk" not in text
    assert "−0.25" in text and "source.data" in text and "&lt;x&gt;" in text
    assert "not complete" in text


def test_nothing_is_loaded_from_elsewhere(text):
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in text and "url(http" not in text


@pytest.mark.parametrize(
    "svg",
    [
        "<svg><script>alert(1)</script></svg>",
        '<svg onload="x()"></svg>',
        "no drawing",
        '<svg><a href="javascript:x"/></svg>',
    ],
)
def test_a_drawing_that_acts_is_not_shown(svg):
    assert "not shown" in inline(svg, "s0", "figure")


def test_what_is_no_store_is_refused(tmp_path):
    (tmp_path / "text.sqlite").write_text("no database" * 100)
    with pytest.raises(StorageError, match="cannot read"):
        read_store(tmp_path / "text.sqlite")
    with pytest.raises(StorageError, match="there is no store"):
        read_store(tmp_path / "none.sqlite")
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(StorageError, match="not an rfjax store"):
        section(tmp_path / "empty.sqlite")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("size", "scheme"), [((1280, 900), "light"), ((1280, 900), "dark"), ((390, 844), "light")])
def test_a_browser_shows_it_without_complaint(text, tmp_path, size, scheme):
    sync_api = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(text)
    complaints, requests = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]  # the page itself never scrolls sideways
        widths = tab.evaluate("[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().width)")
        assert len(widths) == 2 and min(widths) > 300
        brightness = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
        assert brightness < 60 if scheme == "dark" else brightness > 200
        browser.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []

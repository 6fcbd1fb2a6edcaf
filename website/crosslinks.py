"""Links that nobody writes: a name such as `rf.ntk` in a text leads to its API entry, a citation to the bibliography."""

import re
from functools import cache
from pathlib import Path

from website import api
from website.names import PACKAGE, ROOT, homes, rooms

BIBLIOGRAPHY = ROOT / "docs/bibliography.md"
ENTRY = re.compile(r"^- \*\*(.+? \d{4}[a-z]?)\.\*\*", flags=re.M)
WORD = r"[A-ZÀ-Þ][\w'’-]+"
NAME = rf"(?:(?:van|von|der|de|De|Al|El|Ben) )*{WORD}"
CITATION = re.compile(rf"{NAME}(?:(?:, {NAME})* (?:&|and) {NAME}| et al\.) (?:18|19|20)\d\d\b")
CLOSED = ("a", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "nav", "script", "svg")


@cache
def entries() -> dict[str, str]:
    """Every way to cite a work, with the anchor of its entry: all authors, or the first and "et al."."""
    found = {}
    for key in ENTRY.findall(BIBLIOGRAPHY.read_text()):
        anchor = re.sub(r"\W+", "-", key.lower())
        names, year = key.rsplit(" ", 1)
        authors = re.split(r", | & ", names)
        found[key] = anchor
        if len(authors) > 1:
            found[f"{authors[0]} et al. {year}"] = anchor
    return found


def cited(text: str) -> list[str]:
    """The citations in a text, such as "Cho & Saul 2009"."""
    return CITATION.findall(" ".join(text.split()))


def link(html: str, here: str) -> str:
    """The page `here`, a path such as "api/kernels.html", with its names and citations as links."""
    up = "../" * here.count("/")
    open_tags: list[str] = []
    parts = re.split(r"(<!--.*?-->|<[^>]+>)", html, flags=re.S)
    for i, part in enumerate(parts):
        tag = re.match(r"<(/?)(\w+)", part)
        if tag and tag[2] in CLOSED:
            open_tags = open_tags[: -1 if tag[1] and open_tags else None] if tag[1] else [*open_tags, tag[2]]
        elif part == "<code>" and not open_tags and (target := name_target(parts[i + 1], here)):
            parts[i], parts[i + 2] = f'<a class="name" href="{up}{target}"><code>', "</code></a>"
        elif not tag and not open_tags and here != "bibliography.html":
            parts[i] = citations().sub(lambda found: cite(found, up), part)
    return "".join(parts)


def cite(found: re.Match, up: str) -> str:
    """A citation as a link."""
    anchor = entries()[" ".join(found[0].replace("&amp;", "&").split())]
    return f'<a href="{up}bibliography.html#{anchor}">{found[0]}</a>'


@cache
def citations() -> re.Pattern:
    """Every way to cite a work, in HTML and over line ends; the longest first."""
    keys = sorted(entries(), key=len, reverse=True)
    patterns = (re.escape(key).replace("\\&", "(?:&|&amp;)").replace("\\ ", r"\s+") for key in keys)
    return re.compile("|".join(patterns))


def name_target(code: str, here: str = "") -> str | None:
    """The address of the API entry that code such as "rf.kernels.rbf(2.0)" begins with; of "rbf" too, on its room's page."""
    found = re.match(r"(?:rf|rfjax)((?:\.\w+)+)", code)
    if not found:
        room = f"{PACKAGE}.{here.removeprefix('api/').removesuffix('.html')}"
        local = f"{room}.{code}" if here.startswith("api/") else ""
        return f"{here}#{homes()[local].path}" if local in homes() and homes()[local].room == room else None
    path = PACKAGE + found[1]
    while path != PACKAGE:
        if path in homes():
            home = homes()[path]
            return f"{api.page(home.room).removesuffix('.md')}.html#{home.path}"
        if path in rooms():
            return api.page(path).removesuffix(".md") + ".html"
        path = path.rsplit(".", 1)[0]
    return None


def anchored(html: str) -> str:
    """The bibliography's page, its entries with anchors."""

    def entry(found: re.Match) -> str:
        key = found[1].replace("&amp;", "&")
        return f'<strong id="{entries()[key]}">{found[1]}.</strong>' if key in entries() else found[0]

    return re.sub(r"<strong>(.+? \d{4}[a-z]?)\.</strong>", entry, html)


def sources() -> list[Path]:
    """The files whose citations must be in the bibliography."""
    return [*sorted((ROOT / PACKAGE).rglob("*.py")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]

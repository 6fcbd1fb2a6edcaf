"""The links of the built site: those inside it always, those that leave it on request."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = {"", "__top"}
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        for key, value in attributes:
            if key in ("id", "name") and value:
                self.anchors.add(value)
            if key in ("href", "src") and value and tag != "base":
                self.targets.add(value)


@cache
def read(file: Path) -> Page:
    """A page, parsed once."""
    return Page(file.read_text())


def broken(site: Path) -> Iterator[str]:
    """A line for each link inside the site without a file or an anchor to lead to."""
    read.cache_clear()
    for file in sorted(site.rglob("*.html")):
        if file.name == "404.html":
            continue
        for target in sorted(read(file).targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            goal = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            goal = goal / "index.html" if goal.is_dir() else goal
            if not goal.exists():
                yield f"{file.relative_to(site)}: {target} is not there"
            elif goal.suffix == ".html" and unquote(parts.fragment) not in read(goal).anchors:
                yield f"{file.relative_to(site)}: {target} names an anchor that is not there"


def external(site: Path) -> list[str]:
    """The addresses outside the site."""
    found = {target for file in site.rglob("*.html") for target in read(file).targets}
    return sorted(target for target in found if urlsplit(target).scheme in ("http", "https"))


def unreachable(site: Path, seconds: float = 20.0) -> list[str]:
    """A line for each address outside the site that does not answer."""

    def fault(address: str) -> str | None:
        request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0 (link check)"})
        try:
            with urllib.request.urlopen(request, timeout=seconds):
                return None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            return f"{address}: {error}"

    with ThreadPoolExecutor(8) as pool:
        return [line for line in pool.map(fault, external(site)) if line]

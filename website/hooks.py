"""What MkDocs asks on its way: the pages that are written from the source, their order, and the links in them."""

import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from website import api, crosslinks, gallery, links
from website.names import ROOT

DOCS = ROOT / "docs"
GENERATED = {"api/*": api.pages, "gallery/*": gallery.pages}
log = logging.getLogger("mkdocs.hooks.website")


def on_config(config: Any, **kwargs: Any) -> Any:
    """The order of the pages: those that are there, and those that it does not name."""
    named = set(files_of(config.nav))
    config.nav = present(config.nav)
    rest = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    if unnamed := [page for page in rest if page not in named]:
        config.nav.append({"More": unnamed})
    return config


def present(nav: list) -> list:
    """The part of an order whose pages are there."""
    kept = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, inner),) = entry.items()
            if found := present(inner if isinstance(inner, list) else [inner]):
                kept.append({title: found if isinstance(inner, list) else inner})
        elif entry in GENERATED:
            kept += GENERATED[entry]()
        elif (DOCS / entry).exists():
            kept.append(entry)
    return kept


def files_of(nav: list | dict | str) -> list[str]:
    """Every file that an order names."""
    if isinstance(nav, str):
        return [nav]
    return [file for entry in (nav.values() if isinstance(nav, dict) else nav) for file in files_of(entry)]


def on_files(files: Files, config: Any, **kwargs: Any) -> Files:
    """The pages of the API and of the gallery beside those in docs/."""
    for path, text in {**api.pages(), **gallery.pages()}.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """The gallery's cards, and links to a script as links to its page there."""
    markdown = re.sub(r"\]\(((?:\.\./)?)examples/(\w+)\.py\)", r"](\1gallery/\2.md)", markdown)
    return markdown.replace(gallery.MARK, gallery.cards())


def on_page_content(html: str, page: Any, **kwargs: Any) -> str:
    """The page with links from names and citations."""
    html = crosslinks.anchored(html) if page.file.src_uri == "bibliography.md" else html
    return crosslinks.link(html, page.url)


def on_post_build(config: Any, **kwargs: Any) -> None:
    """Links inside the site that lead nowhere are warnings, which a strict build does not pass."""
    for broken in links.broken(Path(config.site_dir)):
        log.warning(broken)

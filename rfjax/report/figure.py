"""An SVG file as part of an HTML page: its names made its own, and nothing in it that runs or loads."""

import re
from html import escape

_ACTIVE = re.compile(r"<\s*(script|foreignObject|iframe|use[^>]*href\s*=\s*[\"'](?!#))|\son\w+\s*=|javascript:", re.I)


def inline(svg: str, prefix: str, title: str) -> str:
    """The <svg> element alone, as wide as there is room, with `prefix` before every id (two figures share a page).

    A file that holds scripts, or is none, is replaced by a line that says so.
    """
    found = re.search(r"<svg\b.*</svg>", svg, flags=re.S)
    if found is None or _ACTIVE.search(svg):
        return f'<p class="warning">{escape(title)}.svg is not shown: it is no plain drawing.</p>'
    text = re.sub(r"<metadata>.*?</metadata>", "", found[0], flags=re.S)
    name = re.sub(r"\W", "-", prefix)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(
        r"<style[^>]*>\*\{([^}]*)\}</style>", rf"<style>#{name} *{{\1}}</style>", text
    )  # Matplotlib's, for all
    first = re.match(r"<svg\b[^>]*>", text)
    assert first is not None
    kept = re.sub(r'\s(width|height|id)="[^"]*"', "", first[0][:-1])
    return f'{kept} id="{name}" role="img" aria-label="{escape(title)}">{text[first.end() :]}'

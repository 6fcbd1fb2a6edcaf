"""Sections as a page: no scripts, nothing loaded from elsewhere, readable on a phone, on paper and in the dark."""

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rfjax.report.figure import inline
from rfjax.report.section import Row, Section, flat
from rfjax.report.style import STYLE

_MOST_ROWS = 1000  # of a table that is shown


def page(sections: Sequence[Section], *, title: str = "rfjax report") -> str:
    """The page as HTML."""
    made = time.strftime("%Y-%m-%d %H:%M")
    index = "".join(f'<li><a href="#s{i}">{escape(_title(s))}</a></li>' for i, s in enumerate(sections))
    body = "".join(_section(i, section) for i, section in enumerate(sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style></head>\n'
        f"<body><header><h1>{escape(title)}</h1><p class=note>Written {made}.</p>"
        f"{f'<nav><ul>{index}</ul></nav>' if len(sections) > 1 else ''}</header>\n<main>{body}</main></body></html>\n"
    )


def _title(section: Section) -> str:
    data = section.configuration.get("data")
    return f"{section.experiment}: {data}" if isinstance(data, str) else section.experiment


def _section(number: int, section: Section) -> str:
    state = "" if section.complete else '<p class="warning">This run is not complete: what is finished is shown.</p>'
    claim = f'<p class="claim">{escape(section.claim)}</p>' if section.claim else ""
    reading = "".join(f"<p>{escape(part)}</p>" for part in section.reading.split("\n\n") if part)
    findings = f'<p class="findings">{escape(section.findings)}</p>' if section.findings else ""
    figures = "".join(
        f'<figure><div class="scroll">{inline(svg, f"s{number}-{name}", name)}</div>'
        f"<figcaption>{escape(name)}</figcaption></figure>\n"
        for name, svg in section.figures.items()
    )
    tables = "".join(_table(name, rows, open_=name == "summary") for name, rows in section.tables.items())
    return (
        f'<section id="s{number}"><h2>{escape(_title(section))}</h2>{state}{claim}{reading}{findings}{figures}{tables}'
        f"{_settings('configuration', flat(section.configuration))}"
        f"{_settings('versions and device', {**section.versions, **section.device})}"
        f'<p class="note">Measured {escape(section.measured)}; kept in <code>{escape(section.store)}</code>.</p></section>\n'
    )


def _table(name: str, rows: Sequence[Row], *, open_: bool) -> str:
    if not rows:
        return ""
    rows = [flat(row) for row in rows]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numeric = {column for column in columns if all(_is_number(row.get(column)) for row in rows)}
    head = "".join(f"<th{_align(c in numeric)}>{escape(c.replace('_', ' '))}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td{_align(c in numeric)}>{_text(row.get(c))}</td>" for c in columns) + "</tr>"
        for row in rows[:_MOST_ROWS]
    )
    cut = f", the first {_MOST_ROWS} of them" if len(rows) > _MOST_ROWS else ""
    return _folded(
        f"{name}: {len(rows)} rows{cut}",
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>',
        open_,
    )


def _settings(name: str, settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    body = "".join(f"<tr><th>{escape(str(key))}</th><td>{_text(value)}</td></tr>" for key, value in settings.items())
    return _folded(name, f'<div class="scroll"><table class="settings"><tbody>{body}</tbody></table></div>', False)


def _folded(title: str, content: str, open_: bool) -> str:
    return f"<details{' open' if open_ else ''}><summary>{escape(title)}</summary>{content}</details>\n"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _align(number: bool) -> str:
    return ' class="number"' if number else ""


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return escape(f"{value:.4g}".replace("-", "−"))
    return escape(str(value))

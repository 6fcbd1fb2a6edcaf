"""What a report says of one store: the claim, what the rows say, figures, tables, configuration."""

import importlib
import importlib.util
import inspect
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rfjax.storage import StorageError, read_store

Row = dict[str, Any]


class Section(NamedTuple):
    """A store, ready to be shown; everything is text or plain data.

    `tables` are named lists of rows, a summary first where the experiment has one; `figures` the SVG files beside the
    store.
    """

    experiment: str
    store: str
    claim: str
    reading: str
    findings: str
    figures: dict[str, str]
    tables: dict[str, list[Row]]
    configuration: Row
    versions: Row
    device: Row
    measured: str
    complete: bool


def section(path: Path) -> Section:
    """The section of a store: its last complete run, or what is finished of an interrupted one.

    The experiment's module in rfjax.experiments gives the claim (its docstring), the tables and how to read them (its
    EXPERIMENT) or, where it has such functions, `headline(rows)`, a sentence, and `summary(rows)`, a table.

    **Raises** StorageError for a file that is no store, or one without any run.
    """
    stored = read_store(path)
    if not stored.runs:
        raise StorageError(f"{path} holds no run")
    complete = [run for run in stored.runs if run.cells is not None]
    run = (complete or stored.runs)[-1]
    chosen = stored.cells.keys() if run.cells is None else run.cells
    cells = [stored.cells[cell] for cell in chosen if cell in stored.cells]
    configuration = {
        name: value for name, value in run.configuration.items() if name not in ("versions", "device", "cells")
    }
    experiment = str(configuration.pop("experiment", path.stem))
    named: dict[str, list[Row]] = {}
    for cell in cells:
        named.setdefault(str(cell.settings.get("experiment", experiment)), []).extend(cell.rows)
    module = _module(experiment)
    claim, _, reading = (inspect.getdoc(module) or "").partition("\n\n") if module else ("", "", "")
    rows = [row for some in named.values() for row in some]
    findings, told = _told(module, rows) if run.cells else ("", {})
    reading = getattr(getattr(module, "EXPERIMENT", None), "reading", reading)
    return Section(
        experiment, str(path), claim, reading,
        findings=findings,
        figures={file.stem: file.read_text() for file in sorted(path.parent.glob("*.svg"))},
        tables={**told, **named},
        configuration=configuration,
        versions=run.configuration.get("versions", {}), device=run.configuration.get("device", {}),
        measured=time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started)),
        complete=run.cells is not None,
    )  # fmt: skip


def _told(module: Any, rows: list[Row]) -> tuple[str, dict[str, list[Row]]]:
    """The sentence and the tables that an experiment makes of its rows; none of rows that another version computed."""
    known, headline, summary = (getattr(module, name, None) for name in ("EXPERIMENT", "headline", "summary"))
    try:
        tables = {"summary": summary(rows)} if summary else {}
        for table in known.tables(rows) if known else ():
            tables[table.title] = [dict(zip(table.columns, line, strict=True)) for line in table.rows if line]
        return (headline(rows) if headline else ""), tables
    except KeyError:
        return "", {}


def _module(experiment: str) -> Any:
    """The module of an experiment, None where there is none of this name."""
    name = f"rfjax.experiments.{experiment.replace('-', '_')}"
    known = experiment.replace("-", "_").isidentifier() and importlib.util.find_spec(name) is not None
    return importlib.import_module(name) if known else None


def flat(settings: Mapping[str, Any]) -> Row:
    """Nested settings as one level: {"a": {"b": 1}} is {"a.b": 1}; lists become texts."""
    found: Row = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": deep for inner, deep in flat(value).items()}
        else:
            found[name] = ", ".join(map(_plain, value)) if isinstance(value, list) else value
    return found


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

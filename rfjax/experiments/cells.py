"""The engine of every experiment: cells that are computed once, stored when finished, and never again."""

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from rfjax.storage import fingerprint, open_store

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One unit of work: `settings` (JSON-able) say completely what `compute()` computes; `name` is for people."""

    name: str
    settings: Mapping[str, Any]
    compute: Callable[[], list[Row]]

    @property
    def key(self) -> str:
        """What the store knows the cell by."""
        return fingerprint(self.settings)


@dataclass(frozen=True)
class Progress:
    """Told before each cell: how many are done of how many, and what comes."""

    done: int
    total: int
    name: str
    stored: bool


def run_cells(
    cells: Iterable[Cell],
    path: Path,
    configuration: Mapping[str, Any],
    *,
    report: Callable[[Progress], None] = lambda progress: None,
) -> list[Row]:
    """The rows of all cells, in order: from the store at `path` where they are finished, computed where not.

    Each finished cell is stored before the next begins, so that an interrupted run goes on where it was.  Rows gain
    `seconds`, the time that their cell took when it was computed.

    **Raises** StorageError when the store cannot be used.
    """
    cells, rows = list(cells), []
    with open_store(path, {**configuration, **environment()}) as store:
        for done, cell in enumerate(cells):
            found = store.rows(cell.key)
            report(Progress(done, len(cells), cell.name, found is not None))
            if found is None:
                begin = time.perf_counter()
                computed = cell.compute()
                seconds = time.perf_counter() - begin
                found = [{**row, "seconds": round(seconds, 3)} for row in computed]
                store.finish(cell.key, cell.settings, found, seconds)
            rows += found
        report(Progress(len(cells), len(cells), "done", stored=True))
    return rows


def environment() -> dict[str, Any]:
    """Versions and device, as a store records them."""
    names = ("rfjax", "jax", "jaxlib", "numpy", "scipy", "optax", "equinox")
    device = jax.devices()[0]
    return {
        "versions": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}},
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
    }

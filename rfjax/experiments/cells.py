"""The engine of every experiment: cells that are computed once, stored when finished, and never again."""

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
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
    """Told at the start and after each cell: how many are done of how many, and which was the last."""

    done: int
    total: int
    name: str


def run_cells(
    cells: Iterable[Cell],
    path: Path,
    configuration: Mapping[str, Any],
    *,
    workers: int = 1,
    report: Callable[[Progress], None] = lambda progress: None,
) -> list[Row]:
    """The rows of all cells, in order: from the store at `path` where they are finished, computed where not.

    `workers` threads compute side by side (compilation and XLA's programs run outside Python's lock).  Each cell is
    stored as soon as it is finished, so that an interrupted run goes on where it was.  Rows gain `seconds`, the time
    that their cell took when it was computed.

    **Raises** StorageError when the store cannot be used.
    """
    cells = list(cells)
    with open_store(path, {**configuration, **environment()}) as store:
        finished = {cell.key: rows for cell in cells if (rows := store.rows(cell.key)) is not None}
        missing = {cell.key: cell for cell in cells if cell.key not in finished}
        total = len(finished) + len(missing)
        report(Progress(len(finished), total, "starting"))
        pool = ThreadPoolExecutor(workers)
        try:
            futures = {pool.submit(_timed, cell): cell for cell in missing.values()}
            for future in as_completed(futures):
                cell = futures[future]
                rows, seconds = future.result()
                store.finish(cell.key, cell.settings, rows, seconds)
                finished[cell.key] = rows
                report(Progress(len(finished), total, cell.name))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return [row for cell in cells for row in finished[cell.key]]


def _timed(cell: Cell) -> tuple[list[Row], float]:
    begin = time.perf_counter()
    rows = cell.compute()
    seconds = time.perf_counter() - begin
    return [{**row, "seconds": round(seconds, 3)} for row in rows], seconds


def environment() -> dict[str, Any]:
    """Versions and device, as a store records them."""
    names = ("rfjax", "jax", "jaxlib", "numpy", "scipy", "optax", "equinox")
    device = jax.devices()[0]
    return {
        "versions": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}},
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
    }

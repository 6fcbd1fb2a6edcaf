"""The engine of every experiment: cells that are computed once, stored when finished, and never again."""

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax

from rfjax.storage import Store, fingerprint, open_store

Row = dict[str, Any]
ATTEMPTS = 3  # at a cell whose worker dies


@dataclass(frozen=True)
class Cell:
    """One unit of work: `settings` (JSON-able) say completely what `compute()` computes; `name` is for people.

    To be computed elsewhere it must pickle: `compute` is a functools.partial of a function at the top of a module.
    """

    name: str
    settings: Mapping[str, Any]
    compute: Callable[[], list[Row]]

    @classmethod
    def of(cls, experiment: str, name: str, settings: Row, compute: Callable[[Row], list[Row]]) -> "Cell":
        """The cell of an experiment that computes `compute(settings)`."""
        return cls(name, {"experiment": experiment, **settings}, partial(compute, settings))

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


class WorkerError(RuntimeError):
    """A cell could not be computed because its worker died each time.  What is finished is stored."""


Report = Callable[[Progress], None]


def run_cells(
    cells: Iterable[Cell],
    path: Path,
    configuration: Mapping[str, Any],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    report: Report = lambda progress: None,
) -> list[Row]:
    """The rows of all cells, in order: from the store at `path` where they are finished, computed where not.

    They are computed on `executor`, any of concurrent.futures or with its methods (`Processes`, dask's
    `client.get_executor()`), or without one by `workers` threads of this process (compilation and XLA's programs run
    outside Python's lock).  Each cell is stored as soon as it is finished, by this process, so that an interrupted run
    goes on where it was.  A cell whose worker dies is tried three times in all.  Rows gain `seconds`, the time that their
    cell took when it was computed.

    **Raises** StorageError when the store cannot be used, WorkerError for a cell whose worker dies each time, and what a
    cell raises; finished cells are kept.
    """
    cells = list(cells)
    with open_store(path, {**configuration, **environment()}) as store:
        finished = {cell.key: rows for cell in cells if (rows := store.rows(cell.key)) is not None}
        missing = {cell.key: cell for cell in cells if cell.key not in finished}
        pool = executor or ThreadPoolExecutor(workers)
        try:
            _compute(pool, missing, finished, store, report)
        finally:
            if executor is None:
                pool.shutdown(wait=False, cancel_futures=True)
        store.complete([cell.key for cell in cells])
        return [row for cell in cells for row in finished[cell.key]]


def _compute(
    pool: Executor, missing: Mapping[str, Cell], finished: dict[str, list[Row]], store: Store, report: Report
) -> None:
    """Compute and store what is missing."""
    total = len(finished) + len(missing)
    report(Progress(len(finished), total, "starting"))
    attempts = dict.fromkeys(missing, 1)
    running = {_submit(pool, cell): cell for cell in missing.values()}
    try:
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=_failed):  # what is finished is stored before an error ends the run
                cell = running.pop(future)
                error = future.exception()
                if error is None:
                    rows, seconds = future.result().unwrap()
                    store.finish(cell.key, cell.settings, rows, seconds)
                    finished[cell.key] = rows
                    report(Progress(len(finished), total, cell.name))
                elif not isinstance(error, Exception):  # an interruption
                    raise error
                elif attempts[cell.key] == ATTEMPTS:
                    raise WorkerError(
                        f"the worker of {cell.name!r} died {ATTEMPTS} times ({error or type(error).__name__}): out of "
                        "memory?  What is finished is kept"
                    ) from error
                else:
                    attempts[cell.key] += 1
                    running[_submit(pool, cell)] = cell
    finally:
        for future in running:
            future.cancel()


def _failed(future: "Future[_Outcome]") -> bool:
    return future.exception() is not None or future.result().error is not None


def _submit(pool: Executor, cell: Cell) -> "Future[_Outcome]":
    try:
        return pool.submit(_timed, cell.compute, bool(jax.config.read("jax_enable_x64")))
    except BrokenExecutor as error:
        raise WorkerError(
            f"the executor takes no more work after one of its workers died ({type(pool).__name__}): "
            "rfjax.experiments.processes.Processes goes on.  What is finished is kept"
        ) from error


@dataclass(frozen=True)
class _Outcome:
    """What a cell computed or raised: any other error of its future is its worker's."""

    rows: list[Row]
    seconds: float
    error: Exception | None = None

    def unwrap(self) -> tuple[list[Row], float]:
        if self.error is not None:
            raise self.error
        return self.rows, self.seconds


def _timed(compute: Callable[[], list[Row]], x64: bool) -> _Outcome:
    """Runs where the cell is computed, in the precision of the run."""
    if jax.config.read("jax_enable_x64") != x64:
        jax.config.update("jax_enable_x64", x64)
    begin = time.perf_counter()
    try:
        rows = compute()
    except Exception as error:
        return _Outcome([], 0.0, error)
    seconds = time.perf_counter() - begin
    return _Outcome([{**row, "seconds": round(seconds, 3)} for row in rows], seconds)


def environment() -> dict[str, Any]:
    """Versions and device, as a store records them."""
    names = ("rfjax", "jax", "jaxlib", "numpy", "scipy", "optax", "equinox")
    device = jax.devices()[0]
    return {
        "versions": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}},
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
    }

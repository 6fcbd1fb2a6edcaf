"""Cells elsewhere, on processes or a dask cluster: a worker that dies loses one cell, and that is tried again."""

import contextlib
import os
import sqlite3
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest

from rfjax.experiments.cells import ATTEMPTS, Cell, WorkerError, run_cells
from rfjax.experiments.processes import Processes, processes
from rfjax.storage import StorageError

sys.path.insert(0, str(Path(__file__).parent))  # spawned processes get it too
from elsewhere import die, square, wrong


def cells(*computes):
    return [Cell(f"cell {i}", {"cell": i}, compute) for i, compute in enumerate(computes)]


class Dying(ThreadPoolExecutor):
    """Every worker dies at its first `deaths` calls of the cell numbered `at`."""

    def __init__(self, deaths, at):
        super().__init__(2)
        self.left, self.at, self.calls = deaths, at, 0

    def submit(self, fn, /, *args, **kwargs):
        self.calls += 1
        if getattr(args[0], "args", None) == (self.at,) and self.left:
            self.left -= 1
            future = Future()
            future.set_exception(BrokenProcessPool("a worker died"))
            return future
        return super().submit(fn, *args, **kwargs)


def test_a_worker_that_dies_loses_only_its_cell_which_is_tried_again(tmp_path):
    executor = Dying(ATTEMPTS - 1, at=2)
    rows = run_cells(cells(*(partial(square, i) for i in range(4))), tmp_path / "store.sqlite", {}, executor=executor)
    assert [row["square"] for row in rows] == [0, 1, 4, 9]
    assert executor.calls == 4 + ATTEMPTS - 1


def test_a_worker_that_always_dies_ends_the_run_and_keeps_what_is_finished(tmp_path):
    path, todo = tmp_path / "store.sqlite", cells(*(partial(square, i) for i in range(4)))
    with pytest.raises(WorkerError, match=r"'cell 2' died 3 times \(a worker died\)"):
        run_cells(todo, path, {}, executor=Dying(ATTEMPTS, at=2))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT count(*) FROM cells").fetchone()[0]
    again = Dying(0, at=2)
    assert [row["square"] for row in run_cells(todo, path, {}, executor=again)] == [0, 1, 4, 9]
    assert again.calls == 4 - kept


def test_an_executor_that_takes_no_more_work_is_named(tmp_path):
    class Broken(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            raise BrokenProcessPool("broken")

    with pytest.raises(WorkerError, match="Broken"):
        run_cells(cells(partial(square, 1)), tmp_path / "store.sqlite", {}, executor=Broken())


def test_what_a_cell_raises_is_raised_and_not_tried_again(tmp_path):
    executor = Dying(0, at=None)
    with pytest.raises(ValueError, match="this cell is wrong"):
        run_cells(cells(wrong), tmp_path / "store.sqlite", {}, executor=executor)
    assert executor.calls == 1


def test_one_worker_is_this_process():
    with processes(1) as executor:
        assert executor is None
    with pytest.raises(ValueError, match="workers must be at least 1"), processes(0):
        pass


def test_a_full_disk_is_said_and_finished_cells_stay(tmp_path, monkeypatch):
    path = tmp_path / "store.sqlite"
    run_cells(cells(partial(square, 0)), path, {})
    big = [{"text": "x" * 10**6}]

    def limited(progress):  # the store may grow no more from the moment that it is open
        if progress.name == "starting":
            _limit(path, monkeypatch)

    with pytest.raises(StorageError, match="full"):
        run_cells([*cells(partial(square, 0)), Cell("big", {"cell": "big"}, lambda: big)], path, {}, report=limited)
    monkeypatch.undo()
    assert run_cells(cells(partial(square, 0)), path, {})[0]["square"] == 0


def _limit(path, monkeypatch):
    from rfjax import storage

    finish = storage.Store.finish

    def on_a_full_disk(self, *arguments):
        self._connection.execute("PRAGMA max_page_count = 1")  # no fewer than there are: it cannot grow
        finish(self, *arguments)

    monkeypatch.setattr(storage.Store, "finish", on_a_full_disk)


@pytest.mark.slow
def test_processes_survive_a_kill(tmp_path):
    computes = [partial(square, i) for i in range(6)]
    computes.insert(1, partial(die, 1, str(tmp_path)))
    with processes(2) as executor:
        rows = run_cells(cells(*computes), tmp_path / "store.sqlite", {}, executor=executor)
    assert [row.get("square") for row in rows] == [0, None, 1, 4, 9, 16, 25]
    assert rows[1]["survived"] == 1
    assert all(row["x64"] for row in rows if "square" in row)  # the suite's precision, there too
    assert os.getpid() not in {row["process"] for row in rows}


@pytest.mark.slow
def test_processes_are_gone_when_given_up():
    executor = Processes(2)
    future = executor.submit(time.sleep, 60)
    while not executor._started or not all(pool._processes for pool in executor._started):
        time.sleep(0.05)
    begin = time.monotonic()
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(BrokenProcessPool):
        future.result(30)
    assert time.monotonic() - begin < 30


@pytest.mark.slow
def test_a_dask_cluster_of_two_workers(tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        computes = [partial(square, i) for i in range(6)]
        computes.insert(1, partial(die, 1, str(tmp_path)))
        rows = run_cells(cells(*computes), tmp_path / "store.sqlite", {}, executor=client.get_executor(pure=False))
    assert [row.get("square") for row in rows] == [0, None, 1, 4, 9, 16, 25]
    assert all(row["x64"] for row in rows if "square" in row)
    assert os.getpid() not in {row["process"] for row in rows}

"""Cells are computed once, stored when finished, and an interruption loses only what was not finished."""

import pytest

from rfjax.experiments.cells import Cell, run_cells


def cell(number, calls, fail=False):
    def compute():
        calls.append(number)
        if fail:
            raise KeyboardInterrupt
        return [{"number": number}]

    return Cell(f"cell {number}", {"number": number}, compute)


def test_finished_cells_are_not_computed_again_after_an_interruption(tmp_path):
    path, calls = tmp_path / "store.sqlite", []
    with pytest.raises(KeyboardInterrupt):
        run_cells([cell(0, calls), cell(1, calls), cell(2, calls, fail=True)], path, {})
    assert calls == [0, 1, 2]
    progress = []
    rows = run_cells([cell(n, calls) for n in (2, 1, 0)], path, {}, report=progress.append)
    assert calls == [0, 1, 2, 2]
    assert [row["number"] for row in rows] == [2, 1, 0]
    assert all(row["seconds"] >= 0 for row in rows)
    assert [(p.done, p.total) for p in progress] == [(2, 3), (3, 3)]


def test_threads_give_the_same_rows_in_order(tmp_path):
    calls = []
    rows = run_cells([cell(n, calls) for n in range(20)], tmp_path / "store.sqlite", {}, workers=4)
    assert [row["number"] for row in rows] == list(range(20))
    assert sorted(calls) == list(range(20))

"""`rfjax compare` and `rfjax report` as a user calls them: what they print, write and refuse."""

import json
import subprocess
import sys

import numpy as np
import pytest

from rfjax.cli import main


@pytest.fixture
def table(tmp_path):
    """A CSV file of 60 rows with a text column, and the folder it is in."""
    rng = np.random.default_rng(0)
    lines = [f"{a:.3f},{'east' if a > 0 else 'west'},{3 * a + 0.1 * b:.4f}" for a, b in rng.normal(size=(60, 2))]
    path = tmp_path / "homes.csv"
    path.write_text("size,side,price\n" + "\n".join(lines) + "\n")
    return path


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        main([*map(str, arguments)])
    assert error.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("rfjax: ")
    return said


def test_what_is_wrong_with_a_table_is_one_line(capsys, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    holes = tmp_path / "holes.csv"
    holes.write_text(table.read_text().replace("east", "", 2))
    assert "column 'side' (rows " in refused(capsys, "compare", holes)
    assert "did you mean 'price'?" in refused(capsys, "compare", table, "--target", "prise")
    assert "cannot read nothing.csv: No such file" in refused(capsys, "compare", "nothing.csv")
    assert "views must be one of" in refused(capsys, "compare", table, "--views", "forest")
    assert "there is no results" in refused(capsys, "report")
    assert "there is no store" in refused(capsys, "report", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holes.csv", "homes.csv"]


@pytest.mark.slow
def test_smoke_resumes_and_its_report_is_written(table, tmp_path):
    def rfjax(*arguments):
        command = [sys.executable, "-m", "rfjax.cli", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    first = rfjax("compare", table, "--preset", "smoke", "--json", "--views", "network", "ntk", "rbf")
    *rows, last = map(json.loads, first.stdout.splitlines())
    assert {row["view"] for row in rows} == {"network", "ntk", "rbf"}
    assert all(row["error"] < row["constant"] for row in rows)
    assert last["verdict"].startswith(("Yes: ", "No: ", "Not clearly: "))
    assert [s["error"] for s in last["summary"]] == sorted(s["error"] for s in last["summary"])
    again = rfjax("compare", table, "--preset", "smoke", "--views", "network", "ntk", "rbf", "--workers", "2")
    assert "Does the network beat its kernels here?" in again.stdout
    assert f"{last['summary'][0]['error']:.4f}" in again.stdout
    said = rfjax("report").stdout
    assert said.startswith("report.html: 1 experiment, ")
    page = (tmp_path / "report.html").read_text()
    assert last["verdict"].split(";")[0] in page and "compare: homes" in page

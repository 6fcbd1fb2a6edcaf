"""The main job as a user runs it: the command, its rows, its figures, resumption and its refusals."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

from rfjax.cli import main
from rfjax.experiments import separation
from rfjax.plots.separation import summarise

KEYS = {
    "d", "norm", "bias", "view", "n", "width", "seed", "data", "relative_risk", "stderr", "bound", "seconds",
}  # fmt: skip
VIEWS = {
    "neuron", "network", "linearized", "ntk", "nngp", "random_features", "random_features_population",
}  # fmt: skip


class Ended(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def rfjax(capsys):
    """The command in this process: how it ended and what it printed."""

    def run(*arguments):
        try:
            main(list(arguments))
            code = 0
        except SystemExit as end:
            code = end.code
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A run killed after its first finished cell, then started again; and what the second one printed."""
    out = tmp_path_factory.mktemp("separation")
    command = [sys.executable, "-m", "rfjax.cli", "separation", "--preset", "smoke", "--json", "--out", str(out)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store, deadline = out / "separation.sqlite", time.monotonic() + 120
    while time.monotonic() < deadline and not finished(store):
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = finished(store)
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    return out, kept, again


def finished(store):
    if not store.exists():
        return {}
    connection = sqlite3.connect(store)
    try:
        return dict(connection.execute("SELECT cell, finished FROM cells"))
    except sqlite3.OperationalError:
        return {}
    finally:
        connection.close()


@pytest.mark.slow
def test_killed_and_started_again_it_keeps_every_finished_cell(smoke):
    out, kept, _ = smoke
    assert kept
    after = finished(out / "separation.sqlite")
    assert {cell: after[cell] for cell in kept} == kept
    assert len(after) == len(list(separation.cells(separation.PRESETS["smoke"])))


@pytest.mark.slow
def test_json_lines(smoke):
    _, _, again = smoke
    rows = [json.loads(line) for line in again.stdout.splitlines()]
    assert {row["view"] for row in rows} == VIEWS
    assert {row["data"] for row in rows} == {"fixed", "fresh", "population"}
    for row in rows:
        assert set(row) >= KEYS
        assert row["stderr"] >= 0
        assert row["relative_risk"] >= 0
    for row in rows:  # what no fixed features may do, nor kernels on n samples
        if row["view"] not in ("neuron", "network"):
            assert row["relative_risk"] + 3 * row["stderr"] >= row["bound"]
    neuron = next(row for row in rows if row["view"] == "neuron" and row["data"] == "fixed")
    assert neuron["relative_risk"] < neuron["bound"]


@pytest.mark.slow
def test_figures_and_store(smoke):
    out, _, _ = smoke
    for name in ("separation", "widths"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"</svg>" in (out / f"{name}.svg").read_bytes()
    connection = sqlite3.connect(out / "separation.sqlite")
    configuration = json.loads(connection.execute("SELECT configuration FROM runs").fetchone()[0])
    connection.close()
    assert configuration["seed"] == 0
    assert {"jax", "jaxlib", "rfjax", "python"} <= set(configuration["versions"])
    assert configuration["device"]["platform"] == "cpu"


def test_a_store_of_another_version_and_an_unwritable_folder_exit_with_2(tmp_path, rfjax):
    connection = sqlite3.connect(tmp_path / "separation.sqlite")
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path, tmp_path / "file"):
        found = rfjax("separation", "--preset", "smoke", "--out", str(out))
        assert found.returncode == 2
        message = found.stderr.strip().splitlines()[-1]
        assert message.startswith("rfjax: ")
        assert "Traceback" not in found.stderr


@pytest.mark.parametrize("setting", [("--n", "0"), ("--ridge", "-1"), ("--norm", "nan"), ("--dims", "10", "-3")])
def test_bad_settings_exit_with_2_and_one_line(tmp_path, setting, rfjax):
    found = rfjax("separation", "--preset", "smoke", "--out", str(tmp_path / "new"), *setting)
    assert found.returncode == 2
    assert setting[0][2:] in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "new").exists()


def test_help_explains(rfjax):
    found = rfjax("separation", "--help")
    assert found.returncode == 0
    assert "bound" in found.stdout
    assert "--preset" in found.stdout


def test_without_the_extra_it_prints_the_install_line(tmp_path):
    (tmp_path / "tyro.py").write_text("raise ImportError")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-m", "rfjax.cli"], capture_output=True, text=True, env=environment, check=False
    )
    assert found.returncode == 2
    assert "pip install 'rfjax[experiments]'" in found.stderr


def test_summary_merges_seeds():
    base = {"d": 3, "view": "ntk", "n": 10, "width": None, "data": "fixed", "bound": 0.1}
    rows = [base | {"relative_risk": 0.4, "stderr": 0.01}, base | {"relative_risk": 0.6, "stderr": 0.01}]
    (merged,) = summarise(rows)
    assert merged["error"] == pytest.approx(0.5)
    assert merged["stderr"] == pytest.approx(0.1)  # the spread over seeds: std 0.1414 / sqrt 2
    assert not merged["exact"]

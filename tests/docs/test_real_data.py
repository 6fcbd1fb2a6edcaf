"""The study of real data, reduced: every view learns something, and nothing is written but where it is told to."""

import importlib.util
from pathlib import Path

import jax
import pytest

SCRIPT = Path(__file__).parents[2] / "docs/examples/real_data.py"


@pytest.fixture
def study(monkeypatch):
    """The script as a module, with one number of steps and fewer ridges."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib").use("Agg")
    spec = importlib.util.spec_from_file_location("real_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with jax.numpy_dtype_promotion("standard"):  # as a reader has it
        spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STEPS", (100,))
    monkeypatch.setattr(module, "RIDGES", module.RIDGES[2:])
    return module


@pytest.mark.slow
def test_every_view_beats_a_constant(study, tmp_path, capsys):
    published = [path.stat().st_mtime_ns for path in sorted(SCRIPT.parents[1].rglob("real_data.*"))]
    with jax.numpy_dtype_promotion("standard"):
        results = study.main(tmp_path, splits=2, rows=300)
    constants = {"Diabetes": 1.0, "Digits": 0.9}
    assert set(results) == set(constants)
    for title, errors in results.items():
        assert len(errors) == 6
        for name, values in errors.items():
            assert max(values) < constants[title], (title, name)
    assert max(results["Digits"][study.NETWORK]) < 0.3
    page = (tmp_path / "real_data.md").read_text()
    assert page in capsys.readouterr().out
    assert page.count("| Trained network |") == 2
    for kind in ("png", "svg"):
        assert (tmp_path / f"figures/real_data.{kind}").stat().st_size > 5000
    assert published == [path.stat().st_mtime_ns for path in sorted(SCRIPT.parents[1].rglob("real_data.*"))]

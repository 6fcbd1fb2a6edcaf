"""The code of docs/spectra.md runs as it stands, and is true; its figure can be drawn."""

import importlib.util
import pathlib

import numpy as np
import pytest

import rfjax as rf

ROOT = pathlib.Path(__file__).parents[2]


def test_spectra(run):
    space = run("docs/spectra.md")
    theory, found = rf.theory, space["found"]
    assert found.energy.sum() + found.remainder == pytest.approx(found.trace)
    assert (theory.information_exponent(space["stairs"]), theory.leap(space["stairs"])) == (1, 3)
    width = theory.minimal_width(space["neuron"], 0.01)
    assert (round(width.log10, 2), width.degree) == (27.03, 12)
    assert round(theory.coefficient_bound(rf.tasks.modulated(1000), 0.25).log10) == 231
    exact = theory.energies(space["task"]).energy[:3]
    assert (np.abs(space["estimate"].energy - exact) < 5 * space["estimate"].stderr + 0.02).all()


@pytest.mark.slow
def test_the_figure_is_drawn(tmp_path):
    place = importlib.util.spec_from_file_location("spectra_example", ROOT / "docs/examples/spectra.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    widths = module.main(tmp_path, d=12, n=500)
    assert (tmp_path / "spectra.png").stat().st_size > 10_000
    assert all(0 < log < 8 for log in widths.values())

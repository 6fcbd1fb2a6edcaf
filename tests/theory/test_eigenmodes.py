"""Modes: what they hold, what they refuse, and the root κ."""

import numpy as np
import pytest
from scipy.optimize import brentq

import rfjax as rf
from rfjax.theory.eigenmodes import Filter, as_modes, log_kappa


def test_what_a_kernel_does_not_reach_is_outside():
    found = rf.theory.modes([2.0, 0.0, 1.0], [0.5, 0.25, 0.0], [1, 7, 3], outside=0.125)
    np.testing.assert_allclose(np.exp(found.log_eigenvalues), [2, 1])
    assert found.outside == 0.375
    assert found.energy == 0.875
    assert found.trace == pytest.approx(5)
    assert found.rank == pytest.approx(4)


@pytest.mark.parametrize("n", [1, 2.5, 30, 39.9])
@pytest.mark.parametrize("ridge", [0.0, 1e-12, 1e-3, 50.0])
def test_kappa_solves_its_equation(n, ridge):
    values, counts = np.geomspace(1, 1e-9, 10), np.full(10, 4.0)
    kappa = np.exp(log_kappa(rf.theory.modes(values, np.ones(10), counts), n, ridge))
    assert (counts * values / (values + kappa)).sum() + ridge / kappa == pytest.approx(n, rel=1e-11)


def test_kappa_with_multiplicities_past_float64():
    # 10⁴⁰⁰ eigenvalues of 10⁻⁴⁰⁰ are a ridge of 1 in all but name.
    huge = rf.theory.modes(
        np.log(10) * np.array([0.0, -400.0]), [1.0, 0.0], np.array([2.0, 400.0]) * np.log(10), log=True
    )
    ridged = rf.theory.modes([1.0], [1.0], [100.0])
    for n in (10, 150, 1000):
        assert log_kappa(huge, n) == pytest.approx(log_kappa(ridged, n, 1.0), abs=1e-12)
    unresolved = rf.theory.modes([1.0], [1.0], [100.0], unresolved=1.0)
    assert log_kappa(unresolved, 50) == pytest.approx(log_kappa(ridged, 50, 1.0), abs=1e-12)


def test_kappa_is_zero_where_every_mode_is_learned():
    found = rf.theory.modes([1.0, 0.1], [1.0, 1.0], [3, 4])
    assert log_kappa(found, 7) == -np.inf
    direct = brentq(lambda k: 3 / (1 + k) + 0.4 / (0.1 + k) - 6.999, 1e-12, 10, xtol=1e-18)
    assert np.exp(log_kappa(found, 6.999)) == pytest.approx(direct, rel=1e-6)


def test_the_filter_keeps_the_digits_of_both_parts():
    found = rf.theory.modes([1e-200, 1e200], [1.0, 1.0])
    filtered = Filter(found, np.array(0.0))
    np.testing.assert_allclose(filtered.kept, [1e-200, 1], rtol=1e-12)
    np.testing.assert_allclose(filtered.lost, [1, 1e-200], rtol=1e-12)


def test_a_spectrum_is_the_modes_of_features_of_its_own_form():
    spectrum = rf.theory.spectrum(rf.tasks.single_neuron(20, bias=-1.0))
    found = as_modes(spectrum)
    assert found.energy == pytest.approx(spectrum.second_moment, rel=1e-12)
    assert found.trace == pytest.approx(spectrum.second_moment, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eigenvalues": [[1.0]], "energies": [1.0]}, r"eigenvalues must have shape \[m\]"),
        ({"eigenvalues": [1.0], "energies": [1.0, 2.0]}, r"energies must have shape \[1\], one for each"),
        ({"eigenvalues": [1.0, -1.0], "energies": [1.0, 2.0]}, "eigenvalues must be finite and >= 0"),
        ({"eigenvalues": [1.0], "energies": [np.inf]}, "energies must be finite and >= 0, got inf"),
        ({"eigenvalues": [1.0], "energies": [-1.0]}, "energies must be finite and >= 0, got -1"),
        ({"eigenvalues": [0.0], "energies": [1.0]}, "at least one above 0"),
        ({"eigenvalues": [1.0], "energies": [1.0], "multiplicities": [0.5]}, "multiplicities must be at least 1"),
        ({"eigenvalues": [np.nan], "energies": [1.0], "log": True}, "finite logarithms"),
        ({"eigenvalues": [1.0], "energies": [1.0], "outside": -1.0}, "outside must be a finite number >= 0"),
    ],
)
def test_bad_modes_are_one_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        rf.theory.modes(**arguments)


def test_what_is_no_modes():
    with pytest.raises(TypeError, match=r"modes must be made by rf.theory.modes"):
        rf.theory.kernel_learning_curve([1.0, 2.0], n=3, ridge=0.1)
    with pytest.raises(TypeError, match="eigenvalues must be real numbers"):
        rf.theory.modes(["one"], [1.0])

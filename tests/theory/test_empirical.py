"""Spectra of Gram matrices and what sums a spectrum up, against NumPy and closed forms."""

import math

import numpy as np
import pytest

import rfjax as rf
from rfjax.theory import (
    capacity_exponent,
    effective_dimension,
    gram_spectrum,
    kernel_spectrum,
    participation_ratio,
    source_exponent,
)

rng = np.random.default_rng(0)
X = rng.standard_normal((150, 3))
y = X[:, 0] + X[:, 1] * X[:, 2]


def test_all_eigenvalues_and_the_largest_ones():
    kernel = rf.rbf(1.5)
    K = np.exp(-((X[:, None] - X) ** 2).sum(-1) / 2 / 1.5**2)
    values, V = np.linalg.eigh(K)
    values, V = values[::-1] / len(X), V[:, ::-1]
    whole, part = gram_spectrum(kernel, X, y), gram_spectrum(kernel, X, y, top=8)
    np.testing.assert_allclose(whole.eigenvalues, values, atol=1e-14)
    np.testing.assert_allclose(part.eigenvalues, values[:8], rtol=1e-10)
    np.testing.assert_allclose(whole.projections[:20], (V[:, :20].T @ y) ** 2 / len(X), rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(part.projections, whole.projections[:8], rtol=1e-5, atol=1e-9)
    assert whole.trace == pytest.approx(1.0)
    assert part.remainder == pytest.approx(1 - values[:8].sum(), rel=1e-8)
    assert whole.projections.sum() == pytest.approx(np.mean(y**2), rel=1e-10)


def test_numbers_of_a_spectrum():
    values = np.array([3.0, 1.0, 1.0, 0.0])
    assert participation_ratio(values) == pytest.approx(25 / 11)
    assert effective_dimension(values, 1.0) == pytest.approx(0.75 + 0.5 + 0.5)
    # 0.4, 0.1 three times: the same through a KernelSpectrum.
    found = kernel_spectrum(rf.polynomial(1, 0.1, 0.4), 3, degree=1)
    np.testing.assert_allclose(found.eigenvalues, [0.4, 0.1], rtol=1e-12)
    assert participation_ratio(found) == pytest.approx(0.49 / 0.19)
    assert effective_dimension(found, 0.1) == pytest.approx(0.8 + 1.5)
    laplace = kernel_spectrum(rf.laplace(1.0), 3, degree=40)
    with pytest.raises(ValueError, match=r"reach further for ridge = 1e-06.*remainder"):
        effective_dimension(laplace, 1e-6)
    fine = kernel_spectrum(rf.laplace(1.0), 3, degree=400)
    assert effective_dimension(laplace, 0.01) == pytest.approx(effective_dimension(fine, 0.01), rel=0.01)


def test_exponents_of_power_laws():
    j = np.arange(1, 401)
    fit = capacity_exponent(3.0 * j**-1.7, window=(5, 300))
    assert fit.exponent == pytest.approx(1.7, abs=1e-10)
    assert fit.window == (5, 300)
    deviations = [  # of noisy power laws, in their standard errors
        (lambda f: (f.exponent - 1.3) / f.stderr)(
            capacity_exponent(j**-1.3 * np.exp(0.001 * rng.standard_normal(400)), window=(20, 200))
        )
        for _ in range(60)
    ]
    assert abs(np.mean(deviations)) < 0.6
    assert 0.7 < np.std(deviations) < 1.4
    circle = kernel_spectrum(rf.laplace(1.0), 2, degree=300)
    assert capacity_exponent(circle, window=(40, 500)).exponent == pytest.approx(2.0, abs=0.02)  # λ_m ~ m^{−2} on S¹


def test_the_source_of_a_function_in_the_span():
    found = gram_spectrum(rf.laplace(2.0), X, y)
    fit = source_exponent(found, window=(3, 60))
    alpha = capacity_exponent(found, window=(3, 60))
    tail = np.cumsum(found.projections[::-1])[::-1][1:]
    slope = np.polyfit(np.log(np.arange(3, 61)), np.log(tail[2:60]), 1)[0]
    assert fit.exponent == pytest.approx(-slope / 2 / alpha.exponent, rel=1e-9)
    assert 0 < fit.stderr < fit.exponent


def test_bad_input_is_refused():
    kernel = rf.rbf(1.0)
    for ask, message in (
        (lambda: gram_spectrum(kernel, X, top=0), "top must be at least 1"),
        (lambda: gram_spectrum(kernel, X, top=151), "top must be at most n = 150"),
        (lambda: gram_spectrum(kernel, X, y[:, None]), r"y must have shape \[n\]"),
        (lambda: effective_dimension([1.0], 0.0), "ridge must be"),
        (lambda: effective_dimension([-1.0], 1.0), "vector of eigenvalues"),
        (lambda: participation_ratio([0.0]), "positive eigenvalue"),
        (lambda: capacity_exponent([1.0, 0.5, 0.2], window=(1, 2)), "at least three eigenvalues"),
        (lambda: capacity_exponent([1.0, 0.5, 0.0], window=(1, 3)), "all positive"),
        (lambda: source_exponent(gram_spectrum(kernel, X[:9])), "made with targets"),
    ):
        with pytest.raises(ValueError, match=message):
            ask()
    assert math.isfinite(participation_ratio([1.0]))

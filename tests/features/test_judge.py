"""Errors of feature maps against NumPy's matrices, dense and matrix-free."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.features import nystrom

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(60, 2)))
KEY = jax.random.key(0)
KERNEL = 2.0 * rf.rbf(1.0)
PHI = rf.approximate(KERNEL, 40, key=KEY, in_dim=2)
judge = importlib.import_module("rfjax.features.judge")


def expected(ridge):
    x = np.asarray(X)
    K = 2 * np.exp(-((x[:, None] - x) ** 2).sum(-1) / 2)
    F = np.asarray(PHI(X))
    E = F @ F.T - K
    s, U = np.linalg.eigh(K + ridge * np.eye(60))
    half = U / np.sqrt(s)
    return (
        np.sqrt((E**2).mean()) / 2,
        np.abs(E).max() / 2,
        np.linalg.norm(E, 2) / np.linalg.norm(K, 2),
        np.linalg.norm(half.T @ E @ half, 2),
    )


@pytest.mark.parametrize("dense", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_errors_are_those_of_the_matrices(monkeypatch, dense):
    if not dense:
        monkeypatch.setattr(judge, "_DENSE", 1)
        monkeypatch.setattr(judge, "_STEPS", 300)
        monkeypatch.setattr(judge, "_ENTRIES", 60 * 7)
    found = rf.approximation_error(PHI, KERNEL, X, ridge=0.1)
    values = [float(getattr(found, name)) for name in judge.MEASURES]
    np.testing.assert_allclose(values, expected(0.1), rtol=1e-8 if dense else 2e-2)
    assert found.features == 40


def test_without_a_ridge_there_is_no_weighted_error():
    assert rf.approximation_error(PHI, KERNEL, X).weighted is None


@pytest.mark.slow
def test_the_law_of_independent_features():
    def make(kernel, p, *, key, X):
        return rf.features.fourier(kernel, 2, p, key=key, draw="iid")

    needed = rf.features_needed(KERNEL, X, 0.02, key=KEY, make=make, sizes=(32, 512), repeats=4)
    assert abs(needed.rate - 0.5) < 4 * needed.rate_stderr
    assert 0.02 < needed.rate_stderr < 0.2
    assert needed.low < needed.features < needed.high
    assert needed.errors.shape == (2, 4)
    measured = rf.approximation_error(make(KERNEL, 2 * (needed.features // 2), key=KEY, X=X), KERNEL, X)
    assert 0.01 < measured.rms < 0.04


def test_all_points_are_no_error():
    found = rf.approximation_error(nystrom(KERNEL, X, features=60, key=KEY), KERNEL, X, ridge=0.1)
    assert float(found.weighted) < 1e-4


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: rf.approximation_error(PHI, KERNEL, X, ridge=0.0), ValueError, "ridge"),
        (lambda: rf.approximation_error(PHI, KERNEL, X[:, :1]), ValueError, "X must have 2 columns"),
        (lambda: rf.features_needed(KERNEL, X, 0.0, key=KEY), ValueError, "target"),
        (lambda: rf.features_needed(KERNEL, X, 0.1, key=KEY, sizes=(8, 8)), ValueError, "sizes"),
        (lambda: rf.features_needed(KERNEL, X, 0.1, key=KEY, measure="weighted"), ValueError, "needs a ridge"),
        (lambda: rf.features_needed(KERNEL, X, 0.1, key=KEY, measure="worst"), ValueError, "measure must be one of"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()

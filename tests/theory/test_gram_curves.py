"""Curves from a Gram matrix: equal to leaving one out at n = N, and true on data that nobody here made."""

import numpy as np
import pytest

import rfjax as rf
from rfjax.theory import gram_learning_curve, kernel_learning_curve

RNG = np.random.default_rng(0)


def rbf(X, Y, scale=3.0):
    return np.exp(-((X[:, None] - Y[None]) ** 2).sum(-1) / (2 * scale**2))


def test_at_the_sample_itself_it_is_the_leave_one_out_error():
    X = RNG.normal(size=(40, 3))
    y = np.stack([np.sin(X[:, 0]), X[:, 1] ** 2], axis=1) + 0.1 * RNG.normal(size=(40, 2))
    K, ridge = rbf(X, X), 0.05
    left_out = []
    for i in range(40):
        rest = np.delete(np.arange(40), i)
        alpha = np.linalg.solve(K[np.ix_(rest, rest)] + ridge * np.eye(39), y[rest])
        left_out.append(((K[i, rest] @ alpha - y[i]) ** 2).sum())
    curve = gram_learning_curve(K, y, n=40, ridge=ridge)
    assert float(curve.test_error) == pytest.approx(np.mean(left_out), rel=1e-9)
    assert float(curve.ridge_here) == ridge


def test_it_agrees_with_the_curve_from_the_true_eigenvalues():
    values, v2, noise = np.arange(1, 301) ** -1.4, np.arange(1, 301) ** -2.0, 0.05
    found = rf.theory.modes(values, v2)
    n, ridge = np.array([10, 50, 200, 600]), 0.05
    curves = []
    for _ in range(6):
        Z = RNG.normal(size=(600, 300))
        y = Z @ v2**0.5 + noise**0.5 * RNG.normal(size=600)
        curves.append(gram_learning_curve((Z * values) @ Z.T, y, n=n, ridge=ridge))
    true = kernel_learning_curve(found, n=n, ridge=ridge, noise=noise)
    np.testing.assert_allclose(np.mean([c.kappa for c in curves], axis=0), true.kappa, rtol=0.02)
    tests = np.array([c.test_error for c in curves])
    stderr = np.sqrt(np.mean([c.stderr**2 for c in curves], axis=0) / 6)
    assert np.all(stderr < 0.04 * true.test_error)
    assert np.all(np.abs(tests.mean(0) - true.test_error) < 3 * stderr)
    spread = tests.std(axis=0, ddof=1)
    assert np.all((spread < 2.5 * curves[0].stderr) & (spread > curves[0].stderr / 4))


def test_real_data():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_diabetes(return_X_y=True)
    X, y = (X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std()
    K, ridge = rbf(X, X), 1.0
    order = RNG.permutation(len(X))
    mine, others = order[:221], order[221:]
    for n in (20, 120):
        predicted = gram_learning_curve(K[np.ix_(mine, mine)], y[mine], n=n, ridge=ridge)
        errors = []
        for _ in range(20):
            chosen = RNG.permutation(others)
            a, b = chosen[:n], chosen[n:]
            f = K[np.ix_(b, a)] @ np.linalg.solve(K[np.ix_(a, a)] + ridge * np.eye(n), y[a])
            errors.append(np.mean((f - y[b]) ** 2))
        # Both halves are samples of the same patients.
        assert abs(np.mean(errors) / predicted.test_error - 1) < 0.04 + 3 * predicted.stderr / predicted.test_error


def test_a_large_ridge_can_be_followed_beyond_the_sample():
    X = RNG.normal(size=(30, 2))
    curve = gram_learning_curve(rbf(X, X), X[:, 0], n=35, ridge=20.0)
    assert np.isfinite(curve.test_error)
    with pytest.raises(ValueError, match="n must be within what 30 points can tell at ridge 0, got 60"):
        gram_learning_curve(rbf(X, X), X[:, 0], n=60, ridge=0.0)


@pytest.mark.parametrize(
    ("K", "y", "message"),
    [
        (np.ones((2, 3)), np.ones(2), r"K must have shape \[N, N\]"),
        (np.eye(3), np.ones(2), r"y must have shape \[3\] or \[3, c\]"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), np.ones(2), "K must be symmetric"),
        (np.diag([1.0, -1.0]), np.ones(2), "positive semidefinite"),
        (np.eye(2) * np.nan, np.ones(2), "K must be finite"),
    ],
)
def test_bad_input(K, y, message):
    with pytest.raises(ValueError, match=message):
        gram_learning_curve(K, y, n=1, ridge=1.0)

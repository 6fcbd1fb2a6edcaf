"""Kernel ridge curves against simulation, against least squares in closed form, and against each other."""

import numpy as np
import pytest

import rfjax as rf
from rfjax.theory import kernel_learning_curve, optimal_ridge

POWERS = np.arange(1, 201) ** -1.5
ENERGIES = np.arange(1, 201) ** -2.0


def simulate(values, energies, n, ridge, noise, draws, seed=0):
    """Ridge regression on Gaussian eigenfunctions of these eigenvalues: risk and train error of every draw."""
    rng = np.random.default_rng(seed)
    v = energies**0.5
    risks, trains = [], []
    for _ in range(draws):
        Z = rng.normal(size=(n, len(values)))
        y = Z @ v + noise**0.5 * rng.normal(size=n)
        alpha = np.linalg.solve((Z * values) @ Z.T + ridge * np.eye(n), y)
        risks.append(((values * (Z.T @ alpha) - v) ** 2).sum())
        trains.append(ridge**2 * np.mean(alpha**2))
    return np.array(risks), np.array(trains)


@pytest.mark.parametrize(("n", "ridge"), [(20, 0.01), (80, 1e-6), (80, 0.3)])
def test_risk_and_train_error_are_those_of_gaussian_eigenfunctions(n, ridge, monte_carlo):
    curve = kernel_learning_curve(rf.theory.modes(POWERS, ENERGIES), n=n, ridge=ridge, noise=0.2)
    risks, trains = simulate(POWERS, ENERGIES, n, ridge, 0.2, 200)
    assert np.mean(risks) == pytest.approx(float(curve.risk), rel=0.06)
    monte_carlo(risks / float(curve.risk), np.array(1.0), resolution=0.03)
    assert np.mean(trains) == pytest.approx(float(curve.train_error), rel=0.05)
    assert float(curve.test_error) == pytest.approx(float(curve.risk) + 0.2)


def test_without_ridge_above_the_rank_it_is_least_squares():
    # E‖ŵ − w‖² = σ² r/(n − r − 1) exactly for Gaussian covariates: 1/(n − r) up to one in n.
    found = rf.theory.modes([3.0, 1.0], [2.0, 1.0], [5, 15])
    curve = kernel_learning_curve(found, n=[2000, 20, 10], ridge=0.0, noise=0.5)
    assert curve.kappa[0] == 0
    assert curve.risk[0] == pytest.approx(0.5 * 20 / 1979, rel=1e-3)
    assert curve.train_error[0] == pytest.approx(0.5 * (1 - 20 / 2000))
    assert curve.risk[1] == np.inf
    assert 0 < curve.risk[2] < np.inf
    assert curve.train_error[2] == 0


def test_multiplicity_is_repetition():
    repeated = rf.theory.modes(np.repeat([1.0, 0.1], [3, 50]), np.repeat([1 / 3, 2 / 50], [3, 50]))
    grouped = rf.theory.modes([1.0, 0.1], [1.0, 2.0], [3, 50])
    arguments = {"n": [5, 30, 100], "ridge": [[1e-3], [1.0]], "noise": 0.1}
    one, other = kernel_learning_curve(repeated, **arguments), kernel_learning_curve(grouped, **arguments)
    assert one.risk.shape == (2, 3)
    assert other.learnability.shape == (2, 3, 2)
    for name in ("risk", "train_error", "kappa", "overfitting", "degrees_of_freedom"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-11)


@pytest.mark.parametrize("noise", [0.0, 0.05, 3.0])
def test_no_ridge_beats_the_optimal_one(noise):
    found = rf.theory.modes(POWERS, ENERGIES)
    best = optimal_ridge(found, n=[5, 40, 400], noise=noise)
    grid = kernel_learning_curve(found, n=[[5], [40], [400]], ridge=np.r_[0, np.geomspace(1e-8, 1e4, 200)], noise=noise)
    assert np.all(best.risk <= grid.risk.min(axis=1) * (1 + 1e-9))
    assert np.all(best.risk >= grid.risk.min(axis=1) * (1 - 2e-2))
    at = kernel_learning_curve(found, n=best.n, ridge=best.ridge, noise=noise)
    np.testing.assert_allclose(at.risk, best.risk, rtol=1e-6)


def test_what_lies_outside_is_noise_that_counts_as_risk():
    inside = kernel_learning_curve(rf.theory.modes(POWERS, ENERGIES), n=50, ridge=0.1, noise=0.3)
    outside = kernel_learning_curve(rf.theory.modes(POWERS, ENERGIES, outside=0.3), n=50, ridge=0.1)
    assert float(outside.risk) == pytest.approx(float(inside.test_error))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0, "ridge": 1.0}, "n must be finite and at least 1, got 0"),
        ({"n": [3, np.nan], "ridge": 1.0}, "n must be finite and at least 1, got nan"),
        ({"n": 3, "ridge": -1.0}, "ridge must be finite and at least 0"),
        ({"n": 3, "ridge": 1.0, "noise": -0.1}, "noise must be a finite number >= 0"),
        ({"n": [1, 2], "ridge": [1.0, 2.0, 3.0]}, r"n, ridge must broadcast to one shape, got n \[2\], ridge \[3\]"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        kernel_learning_curve(rf.theory.modes([1.0], [1.0]), **arguments)


@pytest.mark.parametrize(("n", "ridge"), [(20, 0.1), (80, 0.02)])
def test_points_of_unequal_lengths(n, ridge):
    """Feature vectors √s·(those of the modes) and targets that grow alike, s of two values."""
    s, chances = np.array([0.2, 2.6]), np.array([2 / 3, 1 / 3])
    curve = kernel_learning_curve(rf.theory.modes(POWERS, ENERGIES), n=n, ridge=ridge, noise=0.1, lengths=(s, chances))
    equal = kernel_learning_curve(rf.theory.modes(POWERS, ENERGIES), n=n, ridge=ridge, noise=0.1)
    rng = np.random.default_rng(1)
    v, risks, trains = ENERGIES**0.5, [], []
    for _ in range(200):
        length = rng.choice(s, n, p=chances)
        Z = length[:, None] ** 0.5 * rng.normal(size=(n, len(v)))
        y = Z @ v + 0.1**0.5 * rng.normal(size=n)
        alpha = np.linalg.solve((Z * POWERS) @ Z.T + ridge * np.eye(n), y)
        risks.append(((POWERS * (Z.T @ alpha) - v) ** 2).sum())
        trains.append(ridge**2 * np.mean(alpha**2))
    stderr = np.std(risks) / len(risks) ** 0.5
    assert stderr < 0.03 * curve.risk
    assert abs(np.mean(risks) - curve.risk) < 0.03 * curve.risk + 2 * stderr
    assert abs(np.mean(risks) - equal.risk) > 4 * stderr  # the lengths matter
    assert np.mean(trains) == pytest.approx(float(curve.train_error), rel=0.06)


def test_lengths_of_one_value_change_nothing():
    found, arguments = rf.theory.modes(POWERS, ENERGIES), {"n": [5, 50], "ridge": [0.1, 1e-5], "noise": 0.2}
    one = kernel_learning_curve(found, **arguments, lengths=([1.0], [1.0]))
    np.testing.assert_allclose(one.risk, kernel_learning_curve(found, **arguments).risk, rtol=1e-9)
    values, chances = rf.theory.gaussian_lengths(10)
    assert values @ chances == pytest.approx(1)
    assert values**2 @ chances == pytest.approx(1.2)
    with pytest.raises(ValueError, match=r"lengths must have mean 1, got 2"):
        kernel_learning_curve(found, n=3, ridge=0.1, lengths=([2.0], [1.0]))
    with pytest.raises(ValueError, match="lengths must be values and probabilities"):
        kernel_learning_curve(found, n=3, ridge=0.1, lengths=([1.0, 2.0], [1.0]))

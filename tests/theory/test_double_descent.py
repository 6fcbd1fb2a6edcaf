"""Random-feature curves: through the peak by simulation, and their limits as the simpler formulas."""

import numpy as np
import pytest

import rfjax as rf
from rfjax.theory import kernel_learning_curve, random_feature_curve, random_feature_risk

POWERS = np.arange(1, 201) ** -1.3
MODES = rf.theory.modes(POWERS, POWERS / POWERS.sum(), outside=0.01)


@pytest.mark.parametrize(("n", "k"), [(60, 30), (60, 60), (60, 200)])
def test_gaussian_features_through_the_peak(n, k, monte_carlo):
    noise, ridge = 0.1, 1e-2
    curve = random_feature_curve(
        rf.theory.modes(POWERS, POWERS / POWERS.sum()), n=n, features=k, ridge=ridge, noise=noise
    )
    rng = np.random.default_rng(k)
    v = (POWERS / POWERS.sum()) ** 0.5
    risks, trains = [], []
    for _ in range(150):
        Z = rng.normal(size=(n, len(v)))
        F = POWERS[:, None] ** 0.5 * rng.normal(size=(len(v), k)) * k**-0.5
        phi, y = Z @ F, Z @ v + noise**0.5 * rng.normal(size=n)
        alpha = np.linalg.solve(phi @ phi.T + ridge * np.eye(n), y)
        risks.append(((F @ (phi.T @ alpha) - v) ** 2).sum())
        trains.append(ridge**2 * np.mean(alpha**2))
    monte_carlo(np.array(risks) / float(curve.risk), np.array(1.0), resolution=0.035)
    # At the peak the train error is above its limit by a term in 1/n.
    assert np.mean(trains) == pytest.approx(float(curve.train_error), rel=0.25 if n == k else 0.06)


@pytest.mark.parametrize("ridge", [0.0, 1e-8, 0.1])
def test_infinitely_many_features_are_the_kernel(ridge):
    n = np.array([3, 50, 150])
    many = random_feature_curve(MODES, n=n, features=1e9, ridge=ridge, noise=0.2)
    kernel = kernel_learning_curve(MODES, n=n, ridge=ridge, noise=0.2)
    for name in ("risk", "train_error", "kappa"):
        np.testing.assert_allclose(getattr(many, name), getattr(kernel, name), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1])
def test_infinitely_many_samples_are_the_population(ridge):
    k = np.array([3, 50, 150])
    n = 1e10
    many = random_feature_curve(MODES, n=n, features=k, ridge=n * ridge, noise=0.2)
    np.testing.assert_allclose(many.risk, random_feature_risk(MODES, features=k, ridge=ridge), rtol=1e-6)


def test_without_ridge_the_peak_is_infinite_and_the_rest_is_not():
    curve = random_feature_curve(MODES, n=50, features=[25, 49, 50, 51, 100], ridge=0.0, noise=0.1)
    assert curve.risk[2] == np.inf
    assert np.all(np.isfinite(curve.risk[[0, 1, 3, 4]]))
    assert curve.risk[1] > 5 * curve.risk[0]
    assert curve.risk[3] > 5 * curve.risk[4]
    np.testing.assert_array_equal(curve.train_error[3:], 0)
    assert curve.train_error[0] > 0
    nearly = random_feature_curve(MODES, n=50, features=[25, 49, 51, 100], ridge=1e-13, noise=0.1)
    np.testing.assert_allclose(nearly.risk, curve.risk[[0, 1, 3, 4]], rtol=1e-6)


def test_more_features_than_modes_lose_nothing():
    few = rf.theory.modes([2.0, 1.0], [1.0, 1.0], [2, 3])
    assert random_feature_risk(few, features=5) == 0
    curve = random_feature_curve(few, n=100, features=[5, 50], ridge=0.0, noise=0.4)
    np.testing.assert_allclose(curve.risk, 0.4 * 5 / 95)


def test_features_of_the_targets_own_form():
    spectrum = rf.theory.spectrum(rf.tasks.single_neuron(30, bias=-1.0))
    risk = random_feature_risk(spectrum, features=[100, 1000])
    assert np.all(
        risk >= rf.theory.risk_lower_bound(rf.tasks.single_neuron(30, bias=-1.0), [100, 1000], relative=False)
    )
    gamma = random_feature_curve(spectrum, n=1e12, features=[100, 1000], ridge=0.0).gamma
    np.testing.assert_allclose(risk, [100, 1000] * gamma, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 10, "features": 0, "ridge": 1.0}, "features must be finite and at least 1"),
        ({"n": 0.5, "features": 3, "ridge": 1.0}, "n must be finite and at least 1"),
        ({"n": [1, 2], "features": [1, 2, 3], "ridge": 1.0}, "must broadcast to one shape"),
        ({"n": 10, "features": 3, "ridge": 1.0, "noise": np.nan}, "noise must be a finite number"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        random_feature_curve(MODES, **arguments)

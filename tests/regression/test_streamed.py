"""Ridge regression on features that are never all there, against scikit-learn on all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

import rfjax as rf
from rfjax.regression import normal, primal

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(203, 3)), RNG.normal(size=(70, 3))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)
PHI = rf.features.fourier(rf.rbf(1.5), 3, 20, key=jax.random.key(0), draw="orthogonal")


@pytest.fixture
def streamed(monkeypatch):
    """Everything is streamed, in blocks of 13 rows of 20 float64 features."""
    monkeypatch.setattr(normal, "WHOLE", 0)
    monkeypatch.setattr(normal, "_BLOCK", 13 * 20 * 8)


def expected(x, y, z, ridge):
    F, G = (np.asarray(PHI(jnp.asarray(v, float))) for v in (x, z))
    fit = Ridge(alpha=ridge, fit_intercept=False, solver="cholesky").fit(F, y)
    return fit.coef_.T, fit.predict(G)


@pytest.mark.parametrize("shape", ["columns", "vector"])
def test_a_streamed_fit_is_that_of_scikit_learn(streamed, shape, tmp_path):
    y = Y if shape == "columns" else Y[:, 0]
    np.save(tmp_path / "X.npy", X)
    on_disk = np.load(tmp_path / "X.npy", mmap_mode="r")
    coefficients, values = expected(X, y, Z, 0.1)
    for data in (X, on_disk, jnp.asarray(X)):
        fit = rf.ridge_regression(PHI, data, y, ridge=0.1)
        np.testing.assert_allclose(fit.coefficients, coefficients, rtol=0, atol=1e-11)
        np.testing.assert_allclose(fit(Z), values, rtol=0, atol=1e-11)
        assert fit(Z).shape == (70, *y.shape[1:])
        assert fit.stats.form == "primal" and fit.stats.size == 20 and bool(fit.stats.ok)
        assert "streamed in blocks of 13 rows" in fit.stats.reason
        assert float(fit.stats.residual) < 1e-13


@pytest.mark.parametrize(("many", "nbytes"), [("_MANY", 2**15), ("_MANY_KEPT", 2**25)])  # four rows at once, and all
def test_many_nystrom_features_are_fitted_without_their_normal_equations(many, nbytes, streamed, monkeypatch):
    phi = rf.features.nystrom(rf.laplace(2.0), X, features=30, key=jax.random.key(0))
    direct = rf.ridge_regression(phi, X, Y, ridge=0.1)
    monkeypatch.setattr(primal, many, 30)
    with rf.kernels.memory_bound(nbytes):
        fit = rf.ridge_regression(phi, X, Y, ridge=0.1)
    assert fit.stats.form == "primal" and fit.stats.iterations > 1 and "normal equations" in fit.stats.reason
    np.testing.assert_allclose(fit.coefficients, direct.coefficients, rtol=0, atol=1e-7)
    np.testing.assert_allclose(fit(Z), direct(Z), rtol=0, atol=1e-7)
    asked = rf.ridge_regression(phi, X, Y, ridge=0.1, solver="cholesky")
    assert asked.stats.solver == "cholesky"


def test_what_is_small_is_not_streamed():
    assert "streamed" not in rf.ridge_regression(PHI, X, Y, ridge=0.1).stats.reason


def test_more_features_than_rows_are_not_streamed(streamed):
    assert rf.ridge_regression(PHI, X[:15], Y[:15], ridge=0.1).stats.form == "dual"


def test_compiled_fits_are_not_streamed(streamed):
    values = jax.jit(lambda y: rf.ridge_regression(PHI, X, y, ridge=0.1)(Z))(Y)
    np.testing.assert_allclose(values, expected(X, Y, Z, 0.1)[1], rtol=0, atol=1e-11)


@pytest.mark.parametrize("whole", [True, False])
def test_float32_takes_back_what_squaring_the_condition_cost(whole, monkeypatch):
    # The exact ridge solution for the same float32 features, in float64.
    phi = rf.features.fourier(rf.rbf(3.0), 3, 40, key=jax.random.key(1))
    x, y, ridge = X.astype(np.float32), Y.astype(np.float32), 1e-3
    F = np.asarray(phi(x)).astype(float)
    G, right = F.T @ F + ridge * np.eye(40), F.T @ y.astype(float)
    exact = F @ np.linalg.solve(G, right)
    F32 = F.astype(np.float32)
    plain = np.linalg.solve(F32.T @ F32 + np.float32(ridge) * np.eye(40, dtype=np.float32), F32.T @ y)
    if not whole:
        monkeypatch.setattr(normal, "WHOLE", 0)
        monkeypatch.setattr(normal, "_BLOCK", 13 * 40 * 4)
    fit = rf.ridge_regression(phi, x, y, ridge=ridge)
    assert fit.coefficients.dtype == np.float32
    error = np.abs(F @ np.asarray(fit.coefficients, float) - exact).max()
    assert error < 2e-5
    assert error < 0.2 * np.abs(F @ plain - exact).max()


def test_a_start_is_corrected(streamed):
    fit = rf.ridge_regression(PHI, X, Y[:, 0], ridge=0.1, start=lambda x: x[:, 0])
    values = expected(X, Y[:, 0] - X[:, 0], Z, 0.1)[1] + Z[:, 0]
    np.testing.assert_allclose(fit(Z), values, rtol=0, atol=1e-11)


def test_a_singular_system_names_a_ridge(streamed):
    dead = rf.features.Neurons(jnp.zeros((20, 3)), None, rf.activations.relu)
    with pytest.raises(ValueError, match="ridge=1 works"):
        rf.ridge_regression(dead, X, Y, ridge=0.0)
    assert not bool(rf.ridge_regression(dead, X, Y, ridge=0.0, throw=False).stats.ok)


def test_bad_data_raise():
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="X must be finite"):
        rf.ridge_regression(PHI, bad, Y, ridge=0.1)
    with pytest.raises(ValueError, match="X must have 3 columns"):
        rf.ridge_regression(PHI, X[:, :2], Y, ridge=0.1)

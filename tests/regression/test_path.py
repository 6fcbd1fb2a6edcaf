"""Ridge paths against fits to all points but one, and what they say of ridges and kernels that do not work."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
N, P = 12, 5
X, Z = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3))
Y = RNG.normal(size=(N, 2))
W, B = RNG.normal(size=(P, 3)), RNG.normal(size=P)
MANY = RNG.normal(size=(30, 3))
RIDGES = np.array([1e-2, 0.1, 1.0, 30.0])
KERNEL = rf.rbf(1.5)
PHI = rf.features.Neurons(jnp.asarray(W), jnp.asarray(B), rf.activations.relu)
WIDE = rf.features.Neurons(jnp.asarray(MANY), None, rf.activations.relu)
MODELS = {"kernel": KERNEL, "features, p < n": PHI, "features, p > n": WIDE}


def gram(name: str, X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    if name == "kernel":
        return np.exp(-((X[:, None] - Z) ** 2).sum(-1) / (2 * 1.5**2))
    w, b = (W, B) if name == "features, p < n" else (MANY, 0)
    return np.maximum(X @ w.T + b, 0) @ np.maximum(Z @ w.T + b, 0).T


def predicted(name: str, X: np.ndarray, y: np.ndarray, Z: np.ndarray, ridge: float) -> np.ndarray:
    return gram(name, Z, X) @ np.linalg.solve(gram(name, X, X) + ridge * np.eye(len(X)), y)


def refitted(name: str, ridge: float) -> np.ndarray:
    """Each point's residual from the fit to all the others."""
    out = np.empty_like(Y)
    for i in range(N):
        kept = np.arange(N) != i
        out[i] = Y[i] - predicted(name, X[kept], Y[kept], X[i : i + 1], ridge)[0]
    return out


@pytest.mark.parametrize("name", MODELS)
def test_leaving_one_out_is_refitting_without_it(name, dtype):
    path = rf.ridge_path(MODELS[name], X.astype(dtype), Y.astype(dtype), RIDGES)
    assert path.coefficients.dtype == path.loo.dtype == path.gcv.dtype == dtype
    assert path.loo.shape == path.gcv.shape == (4, 2)
    tolerance = 1e5 * np.finfo(dtype).eps
    for i, ridge in enumerate(RIDGES):
        expected = refitted(name, ridge)
        np.testing.assert_allclose(path.loo_residuals[i], expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose(path.loo_predictions[i], Y - expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose(path.loo[i], (expected**2).mean(axis=0), rtol=tolerance)
        hat = gram(name, X, X) @ np.linalg.inv(gram(name, X, X) + ridge * np.eye(N))
        np.testing.assert_allclose(path.degrees_of_freedom[i], np.trace(hat), rtol=tolerance)
        gcv = N * ((Y - hat @ Y) ** 2).sum(axis=0) / (N - np.trace(hat)) ** 2
        np.testing.assert_allclose(path.gcv[i], gcv, rtol=tolerance)
    assert bool(path.ok.all())
    assert float(path.residual.max()) < tolerance


@pytest.mark.parametrize("name", MODELS)
def test_the_fit_is_that_of_ridge_regression(name):
    path = rf.ridge_path(MODELS[name], X, Y, RIDGES)
    for i, ridge in enumerate(RIDGES):
        expected = rf.ridge_regression(MODELS[name], X, Y, ridge=ridge)
        for fit in (path.fit(index=i), path.fit(ridge=ridge)):
            np.testing.assert_allclose(fit(Z), expected(Z), rtol=0, atol=1e-9)
            np.testing.assert_allclose(fit.coefficients, expected.coefficients, rtol=0, atol=1e-9)
            assert float(fit.stats.ridge) == ridge
            assert fit.stats.seconds > 0 and fit.stats.memory > 0 and "eigendecomposition" in fit.stats.reason


def test_the_best_ridge_is_that_of_the_smallest_score():
    path = rf.ridge_path(KERNEL, X, Y[:, 0], RIDGES)
    assert path.loo.shape == path.gcv.shape == (4,)
    assert float(path.best()) == RIDGES[np.argmin(path.loo)]
    assert float(path.best("gcv")) == RIDGES[np.argmin(path.gcv)]
    np.testing.assert_array_equal(path.fit().coefficients, path.coefficients[np.argmin(path.loo)])
    assert path.fit()(Z).shape == (N,)
    both = rf.ridge_path(KERNEL, X, Y, RIDGES)
    assert float(both.best()) == RIDGES[np.argmin(both.loo.mean(axis=1))]


def test_a_start_is_corrected():
    path = rf.ridge_path(KERNEL, X, Y[:, 0], RIDGES, start=lambda X: X[:, 1])
    shifted = rf.ridge_path(KERNEL, X, Y[:, 0] - X[:, 1], RIDGES)
    np.testing.assert_allclose(path.loo, shifted.loo, rtol=1e-12)
    np.testing.assert_allclose(path.fit()(Z), shifted.fit()(Z) + Z[:, 1], rtol=0, atol=1e-12)


def test_it_jits_vmaps_and_differentiates():
    def best(y):
        path = rf.ridge_path(KERNEL, X, y, RIDGES)
        return path.fit(ridge=0.1)(X), path.loo

    path = rf.ridge_path(KERNEL, X, Y, RIDGES)
    fitted, loo = jax.jit(jax.vmap(best, 1, 1))(Y)
    np.testing.assert_allclose(fitted, path.fit(ridge=0.1)(X), rtol=0, atol=1e-11)
    np.testing.assert_allclose(loo, path.loo, rtol=1e-9)

    def error(scale):
        return rf.ridge_path(rf.rbf(scale), X, Y[:, 0], RIDGES).loo[1]

    slope = (error(1.5 + 1e-5) - error(1.5 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.jit(jax.grad(error))(1.5), slope, rtol=1e-6)


TWICE = np.concatenate([X, X])


def test_a_singular_matrix_names_the_ridges_that_fail_and_those_that_work(dtype):
    x, y = TWICE.astype(dtype), np.concatenate([Y, Y]).astype(dtype)
    with pytest.raises(ValueError, match=r"24 x 24 matrix invertible: in float\d\d 0, 1e-20 cannot") as error:
        rf.ridge_path(KERNEL, x, y, np.array([0.0, 1.0, 1e-20]))
    named = float(re.search(r"ridges from (\S+) work", str(error.value)).group(1))
    assert named < 1e3 * 24 * np.finfo(dtype).eps
    assert bool(rf.ridge_path(KERNEL, x, y, np.array([named])).ok.all())
    path = rf.ridge_path(KERNEL, x, y, np.array([0.0, 1.0, 1e-20]), throw=False)
    np.testing.assert_array_equal(path.ok, [False, True, False])
    np.testing.assert_array_equal(np.isnan(path.loo).any(axis=1), [True, False, True])
    np.testing.assert_array_equal(np.isnan(path.coefficients).any(axis=(1, 2)), [True, False, True])
    assert float(path.best()) == 1.0
    # A twin that is left out is predicted by the other.
    sure = rf.ridge_path(KERNEL, x, y, np.array([named * 10]))
    assert float(jnp.abs(sure.loo_residuals).max()) < 1e6 * np.finfo(dtype).eps


def test_under_tracing_the_error_comes_at_run_time():
    def loo(ridges):
        return rf.ridge_path(KERNEL, TWICE, np.concatenate([Y, Y]), ridges).loo

    with pytest.raises(Exception, match="a ridge of the path leaves the matrix singular"):
        jax.block_until_ready(jax.jit(loo)(np.array([0.0, 1.0, 1e-20])))


class Indefinite(rf.Kernel):
    """⟨x, y⟩ − 1."""

    def _evaluate(self, pairs):
        return pairs.inner(lambda X: X) - 1


def test_an_indefinite_kernel_is_named_by_its_eigenvalue():
    smallest = np.linalg.eigvalsh(X @ X.T - 1)[0]
    assert smallest < -1
    for ridge in (0.1, 100.0):
        with pytest.raises(ValueError, match="not positive semi-definite") as error:
            rf.ridge_path(Indefinite(), X, Y, np.array([ridge]))
        named = float(re.search(r"has the eigenvalue (\S+)", str(error.value)).group(1))
        np.testing.assert_allclose(named, smallest, rtol=1e-5)


def test_rounding_below_zero_is_no_fault():
    x = np.float32(np.concatenate([X[:, :1]] * 3))  # rank 12 of 36, nearly less
    path = rf.ridge_path(rf.rbf(5.0), x, np.float32(np.concatenate([Y] * 3)), np.array([1e-2, 1.0]))
    assert bool(path.ok.all())


def test_without_ridge_a_point_of_its_own_cannot_be_left_out():
    own = np.zeros((N, 2))
    own[0, 0], own[1:, 1] = 1.0, RNG.uniform(1.0, 2.0, size=N - 1)
    phi = rf.features.Neurons(jnp.eye(2), None, rf.activations.relu)
    with pytest.raises(ValueError, match="leverage 1"):
        rf.ridge_path(phi, own, Y, np.array([0.0, 1.0]))
    assert bool(rf.ridge_path(phi, own, Y, np.array([1e-3, 1.0])).ok.all())


BAD = {
    "one row": (lambda: rf.ridge_path(KERNEL, X[:1], Y[:1], RIDGES), ValueError, "at least two rows"),
    "y nan": (lambda: rf.ridge_path(KERNEL, X, Y * np.nan, RIDGES), ValueError, "y must be finite"),
    "ridges number": (lambda: rf.ridge_path(KERNEL, X, Y, 0.1), ValueError, r"ridges must have shape \[r\]"),
    "ridges empty": (lambda: rf.ridge_path(KERNEL, X, Y, RIDGES[:0]), ValueError, r"ridges must have shape \[r\]"),
    "ridges negative": (lambda: rf.ridge_path(KERNEL, X, Y, -RIDGES), ValueError, "ridges must be finite numbers >= 0"),
    "ridges nan": (lambda: rf.ridge_path(KERNEL, X, Y, RIDGES * np.nan), ValueError, "ridges must be finite"),
    "ridges integers": (lambda: rf.ridge_path(KERNEL, X, Y, np.arange(3)), TypeError, "ridges must have a floating"),
    "model": (lambda: rf.ridge_path(np.dot, X, Y, RIDGES), TypeError, "model must be a kernel or a feature map"),
    "columns": (lambda: rf.ridge_path(PHI, X[:, :2], Y, RIDGES), ValueError, "X must have 3 columns"),
    "best": (lambda: rf.ridge_path(KERNEL, X, Y, RIDGES).best("aic"), ValueError, "by must be one of loo, gcv"),
    "other ridge": (lambda: rf.ridge_path(KERNEL, X, Y, RIDGES).fit(ridge=0.2), ValueError, "the nearest is 0.1"),
    "index": (lambda: rf.ridge_path(KERNEL, X, Y, RIDGES).fit(index=4), ValueError, "index must be below 4"),
    "both": (lambda: rf.ridge_path(KERNEL, X, Y, RIDGES).fit(index=0, ridge=0.1), ValueError, "give one of them"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()

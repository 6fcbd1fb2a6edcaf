"""Gaussian-process posteriors against scikit-learn and the formula for conditioning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

import rfjax as rf

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(15, 3)), RNG.normal(size=(6, 3))
Y = RNG.normal(size=(15, 2))
NOISES = RNG.uniform(0.1, 0.5, size=15)
KERNEL = rf.rbf(1.5)
KEY = jax.random.key(0)


def peer(noise: object, y: np.ndarray = Y) -> GaussianProcessRegressor:
    return GaussianProcessRegressor(RBF(1.5), alpha=noise, optimizer=None).fit(X, y)


@pytest.mark.parametrize("noise", [0.3, NOISES], ids=["one noise", "noises"])
def test_it_is_that_of_scikit_learn(noise, dtype):
    post = rf.posterior(KERNEL, X.astype(dtype), Y.astype(dtype), noise=noise)
    mean, covariance = peer(noise).predict(Z, return_cov=True)
    z, tolerance = Z.astype(dtype), 1000 * np.finfo(dtype).eps
    assert post.mean(z).dtype == post.variance(z).dtype == post.covariance(z).dtype == dtype
    np.testing.assert_allclose(post.mean(z), mean, rtol=0, atol=tolerance)
    np.testing.assert_allclose(post.covariance(z), covariance[..., 0], rtol=0, atol=tolerance)
    np.testing.assert_allclose(post.variance(z), np.diag(covariance[..., 0]), rtol=0, atol=tolerance)


def test_the_mean_is_ridge_regression_with_its_start():
    def start(X):
        return X[:, 0]

    post = rf.posterior(KERNEL, X, Y[:, 0], noise=0.3, start=start)
    fit = rf.ridge_regression(KERNEL, X, Y[:, 0], ridge=0.3, start=start)
    assert post.mean(Z).shape == (6,)
    np.testing.assert_allclose(post.mean(Z), fit(Z), rtol=0, atol=1e-12)


def test_features_are_their_kernel():
    weight = RNG.normal(size=(4, 3))
    phi = rf.features.Neurons(jnp.asarray(weight), None, rf.activations.relu)
    F, G = np.maximum(X @ weight.T, 0), np.maximum(Z @ weight.T, 0)
    # Bayesian linear regression: coefficients N(0, I) a priori.
    covariance = np.linalg.inv(F.T @ F / 0.3 + np.eye(4))
    post = rf.posterior(phi, X, Y, noise=0.3)
    np.testing.assert_allclose(post.mean(Z), G @ covariance @ F.T @ Y / 0.3, rtol=0, atol=1e-11)
    np.testing.assert_allclose(post.covariance(Z), G @ covariance @ G.T, rtol=0, atol=1e-11)


def test_samples_have_its_mean_and_covariance(monte_carlo):
    post = rf.posterior(KERNEL, X, Y, noise=NOISES, start=lambda X: X[:, :2])
    draws = np.asarray(post.sample(KEY, Z, (40, 50)))
    assert draws.shape == (40, 50, 6, 2)
    assert post.sample(KEY, Z).shape == (6, 2)
    draws = draws.reshape(-1, 6, 2)
    monte_carlo(draws, post.mean(Z), resolution=0.05)
    off = draws - np.asarray(post.mean(Z))
    products = np.einsum("sic,sje->sicje", off, off)
    expected = np.einsum("ij,ce->icje", np.asarray(post.covariance(Z)), np.eye(2))
    monte_carlo(products, expected, resolution=0.05)


def test_variances_at_the_data_are_never_negative(dtype):
    x = X.astype(dtype)
    post = rf.posterior(rf.rbf(4.0), x, Y.astype(dtype), noise=100 * float(np.finfo(dtype).eps))
    variance = np.asarray(post.variance(x))
    assert (variance >= 0).all()
    assert variance.max() < 1e4 * np.finfo(dtype).eps
    # Samples at a singular covariance need no jitter.
    draws = np.asarray(post.sample(KEY, x))
    assert np.isfinite(draws).all()
    np.testing.assert_allclose(draws, post.mean(x), rtol=0, atol=2 * 1e3 * np.finfo(dtype).eps ** 0.5)


def test_it_jits_vmaps_and_differentiates():
    def at(scale, noise, y):
        post = rf.posterior(rf.rbf(scale), X, y, noise=noise)
        return post.mean(Z).sum() + post.variance(Z).sum()

    stacked = jax.jit(jax.vmap(lambda noise: at(1.5, noise, Y)))(jnp.asarray([0.3, 0.6]))
    np.testing.assert_allclose(stacked, [at(1.5, 0.3, Y), at(1.5, 0.6, Y)], rtol=1e-12)

    def along(t):
        return at(1.5 + t, 0.3 + t, Y + t)

    np.testing.assert_allclose(jax.jit(jax.grad(along))(0.0), (along(1e-5) - along(-1e-5)) / 2e-5, rtol=1e-6)


def test_duplicate_points_need_noise():
    twice, y = np.concatenate([X, X]), np.concatenate([Y, Y])
    with pytest.raises(ValueError, match=r"duplicate points\?\): noise=\S+ works"):
        rf.posterior(KERNEL, twice, y, noise=0.0)
    assert not bool(rf.posterior(KERNEL, twice, y, noise=0.0, throw=False).ok)
    with pytest.raises(Exception, match="more noise is needed"):
        jax.block_until_ready(jax.jit(lambda y: rf.posterior(KERNEL, twice, y, noise=0.0).mean(Z))(y))
    # Twice the same measurement is one of half the noise.
    both, once = rf.posterior(KERNEL, twice, y, noise=0.2), rf.posterior(KERNEL, X, Y, noise=0.1)
    np.testing.assert_allclose(both.mean(Z), once.mean(Z), rtol=0, atol=1e-10)
    np.testing.assert_allclose(both.variance(Z), once.variance(Z), rtol=0, atol=1e-10)


BAD = {
    "noise": (lambda: rf.posterior(KERNEL, X, Y, noise=-1.0), ValueError, "noise must be a finite number >= 0.0"),
    "y nan": (lambda: rf.posterior(KERNEL, X, Y * np.nan, noise=0.1), ValueError, "y must be finite"),
    "model": (lambda: rf.posterior(np.dot, X, Y, noise=0.1), TypeError, "model must be a kernel or a feature map"),
    "new columns": (lambda: rf.posterior(KERNEL, X, Y, noise=0.1).variance(Z[:, :2]), ValueError, "X must have 3"),
    "key": (lambda: rf.posterior(KERNEL, X, Y, noise=0.1).sample(0, Z), TypeError, "key must be a JAX random key"),
    "shape": (lambda: rf.posterior(KERNEL, X, Y, noise=0.1).sample(KEY, Z, (0,)), ValueError, "shape must be at"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()

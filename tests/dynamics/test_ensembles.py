"""Infinite ensembles against the formulas with SciPy's matrix exponential, against draws, and against GP regression."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import rfjax as rf

TIMES = np.array([0.0, 2.0, 40.0, np.inf])


def covariance(A, B):
    """The NNGP stand-in, another kernel than the tangent one."""
    return 0.7 * np.exp(-((A[:, None] - B) ** 2).sum(-1) / 2)


@pytest.fixture(scope="module")
def ensemble(p) -> rf.dynamics.Ensemble:
    return rf.ensemble(0.7 * rf.rbf(1.0), p.kernel, p.X, p.Y)


def reference(p, t):
    """Mean and covariance on the new points by eq. 14–16 of Lee et al. 2019, with Θ⁻¹ and the matrix exponential."""
    decay = np.zeros((10, 10)) if np.isinf(t) else scipy.linalg.expm(-t / 10 * p.K)
    B = p.cross @ scipy.linalg.solve(p.K, np.eye(10) - decay)
    cross = covariance(p.Z, p.X)
    return B @ p.Y, covariance(p.Z, p.Z) + B @ covariance(p.X, p.X) @ B.T - B @ cross.T - cross @ B.T


def test_the_formulas(p, ensemble):
    means, spread, both = ensemble.mean(TIMES, p.Z), ensemble.variance(TIMES, p.Z), ensemble.covariance(TIMES, p.Z)
    assert (means.shape, spread.shape, both.shape) == ((4, 4, 2), (4, 4), (4, 4, 4))
    for t, mean, variance, cov in zip(TIMES, means, spread, both, strict=True):
        expected_mean, expected = reference(p, t)
        np.testing.assert_allclose(mean, expected_mean, rtol=0, atol=1e-10)
        np.testing.assert_allclose(cov, expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(variance, np.diag(expected), rtol=0, atol=1e-10)
        np.testing.assert_array_equal(cov, cov.T)
    np.testing.assert_allclose(ensemble.mean(2.0, p.Z), means[1], rtol=0, atol=1e-13)
    np.testing.assert_allclose(ensemble.covariance(2.0), ensemble.covariance(2.0, p.X), rtol=0, atol=1e-13)
    np.testing.assert_allclose(ensemble.variance(np.inf), 0, atol=1e-9)


def test_draws_of_networks_that_are_trained(p, ensemble, monte_carlo):
    # f_0 drawn on all points, then trained by a thousand small Euler steps of df/dt = −Θ(f − y)/n, an affine map of f_0.
    points, theta = np.concatenate([p.X, p.Z]), np.concatenate([p.K, p.cross])
    gain, shift = np.eye(14), np.zeros(14)
    for _ in range(1000):
        gain = gain - 4e-3 * theta @ gain[:10]
        shift = shift - 4e-3 * theta @ (shift[:10] - p.Y[:, 0])
    root = np.linalg.cholesky(covariance(points, points) + 1e-12 * np.eye(14))
    f = (np.random.default_rng(1).normal(size=(20000, 14)) @ root.T @ gain.T + shift)[:, 10:]
    monte_carlo(f, ensemble.mean(40.0, p.Z)[:, 0], resolution=0.02)
    deviations = f - f.mean(axis=0)
    monte_carlo(deviations[:, :, None] * deviations[:, None], ensemble.covariance(40.0, p.Z), resolution=0.02)


@pytest.mark.slow
def test_training_the_last_layer_alone_ends_in_the_posterior(p):
    net = rf.mlp(depth=1, width=1, b_std=0.3)
    ens = rf.ensemble(rf.nngp(net), rf.nngp(net), p.X, p.Y)
    K = np.asarray(rf.nngp(net)(np.concatenate([p.X, p.Z])))
    solved = scipy.linalg.solve(K[:10, :10], K[:10, 10:])
    np.testing.assert_allclose(ens.mean(np.inf, p.Z), solved.T @ p.Y, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ens.covariance(np.inf, p.Z), K[10:, 10:] - K[10:, :10] @ solved, rtol=0, atol=1e-9)
    # and at every time between, K + K K⁻¹(e^{−2Kt/n} − I)K
    change = scipy.linalg.solve(K[:10, :10], scipy.linalg.expm(-K[:10, :10] * 0.6) - np.eye(10)) @ K[:10, 10:]
    np.testing.assert_allclose(ens.covariance(3.0, p.Z), K[10:, 10:] + K[10:, :10] @ change, rtol=0, atol=1e-10)


def test_a_point_twice_is_a_point(p, ensemble):
    # The mean of its two targets counts, and time runs as it did: twice the rows, twice the n.
    twice = rf.ensemble(0.7 * rf.rbf(1.0), p.kernel, np.repeat(p.X, 2, axis=0), np.repeat(p.Y, 2, axis=0))
    np.testing.assert_allclose(twice.mean(TIMES, p.Z), ensemble.mean(TIMES, p.Z), rtol=0, atol=1e-8)
    np.testing.assert_allclose(twice.variance(TIMES, p.Z), ensemble.variance(TIMES, p.Z), rtol=0, atol=1e-8)


def test_it_compiles_maps_and_keeps_float32(p, ensemble):
    low = [a.astype(np.float32) for a in (p.X, p.Y, p.Z)]

    @jax.jit
    def spread(y, t):
        ens = rf.ensemble(0.7 * rf.rbf(1.0), p.kernel, low[0], y)
        return ens.mean(t, low[2]), ens.variance(t, low[2])

    mean, variance = jax.vmap(spread, (1, None), -1)(low[1], jnp.asarray(2.0, jnp.float32))
    assert mean.dtype == variance.dtype == np.float32
    np.testing.assert_allclose(mean, ensemble.mean(2.0, p.Z), rtol=0, atol=1e-5)
    np.testing.assert_allclose(variance[:, 0], ensemble.variance(2.0, p.Z), rtol=0, atol=1e-5)


def test_bad_input_raises(p, ensemble):
    with pytest.raises(TypeError, match="nngp must be a kernel"):
        rf.ensemble(3, p.kernel, p.X, p.Y)
    with pytest.raises(TypeError, match="ntk must be a kernel"):
        rf.ensemble(p.kernel, 3, p.X, p.Y)
    with pytest.raises(ValueError, match="y must have one row"):
        rf.ensemble(p.kernel, p.kernel, p.X, p.Y[:3])
    with pytest.raises(ValueError, match="t must be >= 0"):
        ensemble.mean(-1.0, p.Z)
    with pytest.raises(ValueError, match="t must be a scalar"):
        ensemble.variance(np.ones((2, 2)), p.Z)
    with pytest.raises(ValueError, match="X must have 3 columns"):
        ensemble.covariance(1.0, p.Z[:, :2])

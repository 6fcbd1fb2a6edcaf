"""Nyström features against their formula in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.features import nystrom
from rfjax.kernels.centres import CHOICES, choose_centres

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(40, 2)))
KEY = jax.random.key(0)
KERNEL = rf.rbf(1.0)


def rbf(x, y):
    return np.exp(-((np.asarray(x)[:, None] - np.asarray(y)) ** 2).sum(-1) / 2)


@pytest.mark.parametrize("centres", CHOICES)
def test_the_features_are_a_projection_on_the_centres(centres):
    phi = nystrom(KERNEL, X, features=12, key=KEY, centres=centres)
    Z = np.asarray(phi.points)
    assert Z.shape == (12, 2)
    assert phi(X).shape == (40, 12)
    expected = rbf(X, Z) @ np.linalg.solve(rbf(Z, Z), rbf(Z, X))
    np.testing.assert_allclose(phi.kernel(X), expected, rtol=0, atol=1e-8)
    left = np.linalg.eigvalsh(rbf(X, X) - np.asarray(phi.kernel(X)))
    assert left.min() > -1e-8  # from below
    rows = {tuple(row) for row in np.asarray(X)}
    assert all(tuple(z) in rows for z in Z) == (centres != "kmeans")


@pytest.mark.parametrize("trailing", [(), (2,)])
def test_a_product_without_the_features_is_theirs(trailing):
    phi, c = nystrom(KERNEL, X, features=12, key=KEY), jnp.asarray(RNG.normal(size=(12, *trailing)))
    np.testing.assert_allclose(phi._product(X, c), np.asarray(phi(X)) @ c, rtol=0, atol=1e-10)


def test_all_points_are_the_kernel_itself():
    phi = nystrom(KERNEL, X, features=40, key=KEY)
    np.testing.assert_allclose(phi.kernel(X), rbf(X, X), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_repeated_points_in_float32():
    twice = jnp.asarray(np.repeat(np.asarray(X[:8]), 5, axis=0), jnp.float32)
    phi = nystrom(KERNEL, twice, features=40, key=KEY, centres="uniform")
    F = phi(twice)
    assert F.dtype == jnp.float32
    assert np.isfinite(F).all()
    np.testing.assert_allclose(F @ F.T, rbf(twice, twice), rtol=0, atol=1e-3)
    assert nystrom(KERNEL, twice, features=20, key=KEY).points.shape[0] <= 20


def test_cluster_means_are_means_of_clusters():
    blobs = np.repeat([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], 5, axis=0) + 0.1 * RNG.normal(size=(15, 2))
    means = blobs.reshape(3, 5, 2).mean(axis=1)
    found = [choose_centres(KERNEL, blobs, 3, "kmeans", ridge=None, key=jax.random.key(s)) for s in range(8)]
    right = [np.allclose(np.sort(np.asarray(Z), axis=0), np.sort(means, axis=0)) for Z in found]
    assert any(right)  # from a row in each cluster


def test_leverage_prefers_what_is_far_from_the_rest():
    crowd = jnp.concatenate([0.01 * X, jnp.full((1, 2), 5.0)])
    picks = [choose_centres(KERNEL, crowd, 4, "leverage", ridge=0.1, key=jax.random.key(s)) for s in range(6)]
    assert np.mean([np.any(np.asarray(Z) == 5.0) for Z in picks]) > 0.5  # 4/41 of the uniform draws


@pytest.mark.slow
def test_nystrom_features_transform():
    phi = nystrom(KERNEL, X, features=6, key=KEY)
    np.testing.assert_allclose(jax.jit(lambda phi, x: phi(x))(phi, X[:3]), phi(X[:3]), atol=1e-12)
    gradient = jax.grad(lambda x: phi(x[None]).sum())(X[0])
    step = 1e-6 * np.array([1.0, 0.0])
    slope = (phi(X[:1] + step).sum() - phi(X[:1] - step).sum()) / 2e-6
    np.testing.assert_allclose(gradient[0], slope, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"features": 41}, ValueError, "features must be at most the number of points, 40"),
        ({"features": 0}, ValueError, "features"),
        ({"centres": "best"}, ValueError, "centres must be one of"),
        ({"key": None}, ValueError, "key is required"),
        ({"ridge": 0.0}, ValueError, "ridge"),
        ({"kernel": 3}, TypeError, "kernel must be a kernel"),
        ({"X": X[0]}, ValueError, "X must have shape"),
    ],
)
def test_bad_input(wrong, error, match):
    given = {"kernel": KERNEL, "X": X, "features": 5, "key": KEY} | wrong
    with pytest.raises(error, match=match):
        nystrom(given.pop("kernel"), given.pop("X"), **given)

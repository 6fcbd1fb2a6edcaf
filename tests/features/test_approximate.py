"""The entry point: which map a kernel gets, that it is near the kernel, and what an unknown one is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.features import (
    Concatenated,
    Fourier,
    Gegenbauer,
    Nystrom,
    OnColumns,
    Positive,
    ProductFeatures,
    random_neurons,
)

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(12, 3)))
KEY = jax.random.key(0)
NEURONS = random_neurons(3, 4, key=KEY)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        (rf.rbf(1.5), Fourier),
        (rf.arc_cosine(1) + 2.0 * rf.polynomial(2), Gegenbauer),
        (rf.exponential(0.1), Positive),
        (2.0 * rf.rbf(1.0).on([0, 2]) + 0.5, Concatenated),
        (rf.polynomial(2).on([1, 2]), OnColumns),
        (rf.laplace(2.0) * rf.polynomial(2, 0.3, 1.0), ProductFeatures),
        (rf.kernels.Normalised(rf.rbf(1.0) + rf.laplace(1.0)), Nystrom),
    ],
)
def test_the_map_of_a_kernel(kernel, kind):
    phi = rf.approximate(kernel, 512, key=KEY, X=X)
    assert isinstance(phi, kind)
    assert phi.in_dim == 3
    F, K = phi(X), np.asarray(kernel(X))
    assert F.shape[1] <= 512
    scale = np.sqrt(np.multiply.outer(np.diag(K), np.diag(K)))
    rms = np.sqrt((((F @ F.T - K) / scale) ** 2).mean())
    assert rms < (0.25 if kind is ProductFeatures else 0.1)


def test_a_neural_kernel_sees_the_data_unless_its_degrees_fit():
    Z = jnp.asarray(RNG.normal(size=(80, 3)))
    y, new = jnp.sin(2 * Z[:, 0]), jnp.asarray(RNG.normal(size=(30, 3)))
    kernel = rf.arc_cosine(1)
    exact = rf.ridge_regression(kernel, Z, y, ridge=0.1)(new)

    def distance(**given):
        phi = rf.approximate(kernel, 40, key=KEY, **given)
        return type(phi), float(jnp.std(rf.ridge_regression(phi, Z, y, ridge=0.1)(new) - exact))

    (seen, near), (unseen, far) = distance(X=Z), distance(in_dim=3)
    assert (seen, unseen) == (Nystrom, Gegenbauer)
    assert near < far
    assert isinstance(rf.approximate(rf.polynomial(2), 40, key=KEY, X=Z), Gegenbauer)
    assert isinstance(rf.approximate(kernel, 40, key=KEY, X=Z, stored=False), Gegenbauer)


def test_a_feature_kernel_is_its_map():
    assert rf.approximate(NEURONS.kernel, 512, key=KEY, in_dim=3) is NEURONS


@pytest.mark.slow
def test_weights_that_are_not_stored_are_the_same_in_every_call():
    phi = rf.approximate(rf.rbf(1.5) + rf.laplace(2.0), 60, key=KEY, X=X, stored=False)
    assert max(jnp.size(leaf) for leaf in jax.tree.leaves(phi)) < 6
    np.testing.assert_array_equal(phi(X), phi(X))
    assert np.abs(phi.kernel(X) - (rf.rbf(1.5) + rf.laplace(2.0))(X)).max() < 0.6
    with pytest.raises(ValueError, match="stored=False is for Fourier and Gegenbauer features; those of Exponential"):
        rf.approximate(rf.exponential(0.1), 60, key=KEY, X=X, stored=False)


def test_an_unknown_kernel_is_told_what_is_known():
    net = rf.mlp(depth=1, width=4)
    kernel = rf.empirical_ntk(net, net.init(KEY, 3))
    with pytest.raises(TypeError, match=r"EmpiricalNTK.*Known are rbf.*polynomial.*nystrom"):
        rf.approximate(kernel, 10, key=KEY, in_dim=3)


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({}, ValueError, "in_dim"),
        ({"in_dim": 2, "X": X}, ValueError, "X must have 2 columns"),
        ({"in_dim": 3, "features": 0}, ValueError, "features"),
        ({"in_dim": 3, "key": None}, ValueError, "key is required"),
        ({"in_dim": 3, "kernel": rf.rbf().on([3])}, ValueError, "columns must be below in_dim = 3"),
        ({"in_dim": 3, "kernel": rf.rbf() + rf.laplace(), "features": 1}, ValueError, "at least 2"),
        ({"in_dim": 3, "kernel": "rbf"}, TypeError, "kernel must be"),
    ],
)
def test_bad_input(wrong, error, match):
    with pytest.raises(error, match=match):
        rf.approximate(**({"kernel": rf.rbf(), "features": 8, "key": KEY} | wrong))

"""Kernels on some columns, and kernels normalised to a cosine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from rfjax.kernels import Normalised, Restrict, laplace, polynomial, rbf

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
Y[0], X[2] = X[0], 0


def test_restriction_is_the_kernel_of_the_columns(stacked):
    cases = [
        (Restrict(rbf(1.3), [2, 0]), rbf(1.3)(X[:, [0, 2]], Y[:, [0, 2]])),
        (Restrict(polynomial(2), (1,)), polynomial(2)(X[:, 1:2], Y[:, 1:2])),
        (Restrict(Restrict(polynomial(2), 0), np.array([1, 2])), polynomial(2)(X[:, 1:2], Y[:, 1:2])),
        (Restrict(rbf([0.5, 2.0]), range(2)), rbf([0.5, 2.0])(X[:, :2], Y[:, :2])),
    ]
    kernels, expected = zip(*cases, strict=True)
    np.testing.assert_allclose(stacked(kernels)(X, Y), expected, rtol=1e-13)
    np.testing.assert_allclose(Restrict(polynomial(2), [1]).diag(X), (X[:, 1] ** 2 + 1) ** 2, rtol=1e-14)


def test_on_is_the_restriction():
    k = polynomial(2).on([2, 0])
    assert (k.kernel, k.columns) == (polynomial(2), (2, 0))
    assert rbf(1.0).on(1).columns == (1,)
    with pytest.raises(ValueError, match="columns must be different"):
        rbf(1.0).on([0, 0])


def test_normalised_linear_is_the_cosine(dtype):
    k = Normalised(polynomial(1, 2.5, 0.0))
    x, y = X.astype(dtype), Y.astype(dtype)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(k(x, y), cosine_similarity(x, y), rtol=0, atol=tolerance)
    np.testing.assert_allclose(k(x), cosine_similarity(x), rtol=0, atol=tolerance)
    diagonal = [1, 1, 0, 1, 1, 1]  # the zero row has no direction
    np.testing.assert_array_equal(np.diag(k(x)), diagonal)
    np.testing.assert_array_equal(k.diag(x), diagonal)


@pytest.mark.slow
def test_normalised_kernels_differentiate_and_nest():
    k = Normalised(laplace(1.3) * Restrict(polynomial(2), [0, 1]))
    value, slopes = jax.jit(jax.value_and_grad(lambda k, x: jnp.sum(k(x, Y)), argnums=(0, 1)))(k, X)
    p = (X[:, :2] @ Y[:, :2].T + 1) ** 2
    own = [np.sum(v[:, :2] ** 2, axis=1) + 1 for v in (X, Y)]
    expected = np.exp(-np.linalg.norm(X[:, None] - Y, axis=-1) / 1.3) * p / np.outer(*own)
    np.testing.assert_allclose(value, expected.sum(), rtol=1e-13)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Restrict(rbf(1.0), [3])(X), ValueError, r"columns must be below 3, the columns of X, got \[3\]"),
        (lambda: Restrict(rbf(1.0), []), ValueError, "columns must be different integers >= 0, at least one"),
        (lambda: Restrict(rbf(1.0), [0, 0]), ValueError, "columns must be different"),
        (lambda: Restrict(rbf(1.0), [-1]), ValueError, "columns must be different integers >= 0"),
        (lambda: Restrict(rbf(1.0), [True]), TypeError, "columns must be integers"),
        (lambda: Restrict(rbf(1.0), "first"), TypeError, "columns must be integers"),
        (lambda: Restrict("rbf", [0]), TypeError, "kernel must be a kernel"),
        (lambda: Normalised(1.0), TypeError, "kernel must be a kernel"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()

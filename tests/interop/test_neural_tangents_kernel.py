"""A kernel_fn of neural-tangents as a kernel here: the same numbers, in regressions and in the algebra."""

from functools import partial

import jax
import jax.numpy as jnp
import neural_tangents as nt
import numpy as np
import pytest
from neural_tangents import stax

import rfjax as rf
from rfjax.interop.neural_tangents import as_kernel

SHAPE = (8, 8, 1)
CONV = stax.Conv(1, (3, 3), padding="SAME")
CNN = stax.serial(CONV, stax.Relu(), CONV, stax.Relu(), stax.Flatten(), stax.Dense(1))
POOLED = stax.serial(stax.Conv(1, (2, 2), strides=(2, 2)), stax.Erf(), stax.GlobalAvgPool(), stax.Dense(1))
FCN = stax.serial(stax.Dense(16, 1.5, 0.1), stax.Erf(), stax.Dense(1, 1.5, 0.1))


@pytest.fixture(scope="module")
def digits():
    """(images [80, 64], one-hot labels [80, 10], 80 others to predict, their labels)."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    chosen = np.random.default_rng(0).permutation(len(data.data))[:160]
    X, y = data.data[chosen] / 16, np.eye(10)[data.target[chosen]]
    return X[:80], y[:80], X[80:], y[80:]


@pytest.mark.slow
def test_a_convolutional_kernel_reads_digits(digits):
    X, y, X_test, y_test = digits
    k = as_kernel(CNN[2], "ntk", shape=SHAPE)
    fit = rf.ridge_regression(k, X, y, ridge=1e-3)
    predicted = fit(X_test)
    assert (predicted.argmax(axis=1) == y_test.argmax(axis=1)).mean() > 0.8
    images, others = X.reshape(-1, *SHAPE), X_test.reshape(-1, *SHAPE)
    kernel_fn = jax.jit(CNN[2], static_argnums=2)
    K, cross = kernel_fn(images, None, "ntk"), kernel_fn(others, images, "ntk")
    expected = cross @ np.linalg.solve(K + 1e-3 * np.eye(80), y)
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-5)  # its own K is good to 1e-8 on the diagonal


@pytest.mark.slow
def test_batches_do_not_change_the_numbers():
    X = jax.random.normal(jax.random.key(0), (7, 32))
    k = as_kernel(POOLED[2], "nngp", shape=(4, 4, 2), batch_size=3)
    images = X.reshape(-1, 4, 4, 2)
    expected = jax.jit(POOLED[2], static_argnums=2)(images, images[:4], "nngp")
    np.testing.assert_allclose(k(X, X[:4]), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(jnp.diagonal(k(X)), k.diag(X), rtol=0, atol=0)
    np.testing.assert_allclose(k(X)[:, :4], expected, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_it_adds_flows_and_differentiates():
    X = jax.random.normal(jax.random.key(0), (6, 5))
    k = as_kernel(FCN[2])
    K, slope = jax.jit(lambda X: (FCN[2](X, None, "ntk"), jax.grad(lambda x: FCN[2](x[None], X, "ntk")[0, 3])(X[1])))(X)
    np.testing.assert_allclose((2.0 * k + rf.rbf(1.0))(X), 2.0 * K + rf.rbf(1.0)(X), rtol=0, atol=1e-9)
    np.testing.assert_allclose(jax.grad(lambda x: k(x[None], X)[0, 3])(X[1]), slope, rtol=0, atol=1e-9)
    values, vectors = np.linalg.eigh(K)
    expected = X[:, 0] - vectors @ (np.exp(-values * 10 / 6) * (vectors.T @ X[:, 0]))
    np.testing.assert_allclose(rf.gradient_flow(k, X, X[:, 0])(10.0), expected, rtol=0, atol=1e-9)
    assert k(X.astype(jnp.float32)).dtype == jnp.float32


@pytest.mark.slow
def test_an_empirical_kernel_has_parameters():
    X = jax.random.normal(jax.random.key(0), (4, 5))
    init, apply, _ = FCN
    params = init(jax.random.key(1), X.shape)[1]

    @jax.jit
    @jax.jacrev
    def slopes(p):
        kernels = (as_kernel(function(apply), params=p) for function in (nt.empirical_kernel_fn, nt.empirical_ntk_fn))
        return jnp.stack([k(X)[0, 1] for k in (*kernels, rf.empirical_ntk(apply, p))])

    for leaf in jax.tree.leaves(slopes(params)):
        np.testing.assert_allclose(leaf[:2], np.stack([leaf[2]] * 2), rtol=0, atol=1e-12)


def spatial():
    return as_kernel(stax.Conv(1, (3,), padding="SAME")[2], shape=(3, 2))


def two_outputs():
    return as_kernel(stax.serial(stax.FanOut(2), stax.parallel(FCN, FCN))[2])


def masked(x, y, get):
    return FCN[2](x, y, None, mask_constant=0.0)


@pytest.mark.parametrize(
    ("make", "columns", "error", "message"),
    [
        (lambda: as_kernel(FCN), 6, TypeError, "kernel_fn must be a function"),
        (lambda: as_kernel(FCN[2], "ntkk"), 6, ValueError, "get must be one of ntk, nngp; got 'ntkk'"),
        (lambda: as_kernel(FCN[2], shape=6), 6, TypeError, "shape must be that of one input"),
        (lambda: as_kernel(FCN[2], shape=(3, 0)), 6, ValueError, "every entry of shape must be at least 1"),
        (lambda: as_kernel(FCN[2], batch_size=0), 6, ValueError, "batch_size must be at least 1"),
        (lambda: as_kernel(partial(FCN[2], mask_constant=0.0)), 6, ValueError, "kernel_fn must have no mask_constant"),
        (lambda: as_kernel(masked), 6, ValueError, "without masks"),
        (spatial, 6, ValueError, r"one number a pair of points, \[1, 1\], got \[1, 1, 3, 3\]"),
        (two_outputs, 6, ValueError, "must return one array, got 2"),
        (spatial, 7, ValueError, r"X must have 6 columns, the entries of shape \[3, 2\], got 7"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bad_input_says_what_it_must_be(make, columns, error, message):
    with pytest.raises(error, match=message):
        make()(jnp.ones((2, columns)))


def test_images_must_be_rows_of_one_shape():
    k = as_kernel(CNN[2], shape=SHAPE)
    with pytest.raises(ValueError, match=r"X must have shape \[n, d\], got \[2, 8, 8, 1\]"):
        k(jnp.ones((2, 8, 8, 1)))
    with pytest.raises(ValueError, match=r"Y must have 64 columns, got shape \[2, 49\]"):
        k(jnp.ones((2, 64)), jnp.ones((2, 49)))

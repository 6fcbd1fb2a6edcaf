"""Classical kernels against scikit-learn, sums and products of kernels, compiling once, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics.pairwise as sklearn

from rfjax.kernels import Constant, InfiniteWidth, Kernel, Polynomial, base, polynomial, rbf
from rfjax.networks import mlp

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
Y[0], Y[1] = X[0], -X[1]


def test_rbf_is_that_of_scikit_learn():
    for length_scale in (0.3, 1.7):
        gamma = 1 / (2 * length_scale**2)
        np.testing.assert_allclose(rbf(length_scale)(X, Y), sklearn.rbf_kernel(X, Y, gamma=gamma), rtol=1e-13)
        np.testing.assert_allclose(rbf(length_scale)(X), sklearn.rbf_kernel(X, gamma=gamma), rtol=1e-13)


def test_polynomial_is_that_of_scikit_learn(dtype):
    for scale, offset in ((1.0, 0.0), (0.4, 1.5)):
        expected = sklearn.polynomial_kernel(X, Y, degree=3, gamma=scale, coef0=offset)
        computed = np.asarray(polynomial(3, scale, offset)(X.astype(dtype), Y.astype(dtype)))
        assert computed.dtype == dtype
        size = (scale * np.outer(*(np.linalg.norm(v, axis=1) for v in (X, Y))) + offset) ** 3
        assert (np.abs(computed - expected) / size).max() < (1e-14 if dtype == np.float64 else 2e-6)


def test_algebra_is_that_of_the_matrices(stacked):
    a, b = rbf(1.3), polynomial(2)
    A, B = sklearn.rbf_kernel(X, Y, gamma=1 / (2 * 1.3**2)), sklearn.polynomial_kernel(X, Y, degree=2, gamma=1, coef0=1)
    cases = [
        (a + b, A + B),
        (a * b, A * B),
        (2.5 * a + b * 0.5, 2.5 * A + 0.5 * B),
        (a + 1, A + 1),
        (3.0 + a, A + 3),
        (sum([a, b]), A + B),
        (jnp.asarray(2.0) * a, 2 * A),
        (a * jnp.asarray(2.0), 2 * A),
        (np.float64(2.0) * a, 2 * A),
        (a * a * b, A**2 * B),
        (0.0 * a + Constant(0.25), 0 * A + 0.25),
    ]
    kernels, expected = zip(*cases, strict=True)
    assert all(isinstance(k, Kernel) for k in kernels)
    np.testing.assert_allclose(stacked(kernels)(X, Y), expected, rtol=1e-12)
    np.testing.assert_allclose((2.5 * a + b * a).diag(X), 2.5 + (np.sum(X**2, axis=1) + 1) ** 2, rtol=1e-12)


@pytest.mark.parametrize("wrong", ["1", None, True, np.ones(3)], ids=["str", "None", "bool", "array"])
def test_what_is_no_kernel_does_not_combine(wrong):
    for combine in (
        lambda: rbf(1.0) + wrong,
        lambda: wrong + rbf(1.0),
        lambda: wrong * rbf(1.0),
        lambda: rbf(1.0) * wrong,
    ):
        with pytest.raises(TypeError):
            combine()


def test_numpy_scalars_do_not_widen_float32():
    # np.sqrt(2.0) is a NumPy float64, and an everyday way to write a w_std or a factor.
    single = X.astype(np.float32)
    for kernel in (
        InfiniteWidth(mlp(depth=1, width=1, w_std=np.sqrt(2.0)), "nngp"),
        rbf(np.float64(1.3)),
        np.float64(2.0) * rbf(1.3),
    ):
        assert kernel.diag(single).dtype == np.float32


def rebuilt(w_std: float) -> InfiniteWidth:
    return InfiniteWidth(mlp(depth=1, width=1, w_std=w_std), "nngp")


@pytest.mark.parametrize(
    ("function", "call"),
    [
        (base._self_gram, lambda k: k(X)),
        (base._cross_gram, lambda k: k(X, Y)),
        (base._diagonal, lambda k: k.diag(X)),
    ],
    ids=["k(X)", "k(X, Y)", "k.diag(X)"],
)
def test_a_kernel_built_anew_is_not_compiled_anew(function, call):
    call(rebuilt(2**0.5))
    compiled = function._cache_size()
    assert compiled > 0
    call(rebuilt(2**0.5))
    call(rebuilt(1.1))  # another value of a hyperparameter is another argument, not another program
    assert function._cache_size() == compiled
    call(polynomial(7))
    assert function._cache_size() == compiled + 1  # the count does count


def test_kernels_are_pytrees_of_their_hyperparameters():
    leaves = jax.tree.leaves(2.0 * rbf(1.3) + polynomial(3, 0.5, 1.5))
    assert sorted(float(leaf) for leaf in leaves) == [0.5, 1.3, 1.5, 2.0]


GOOD = rbf(1.0)
POINTS = jnp.ones((2, 3))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: GOOD(jnp.ones(3)), ValueError, r"X must have shape \[n, d\], got \[3\]"),
        (lambda: GOOD(jnp.ones((0, 3))), ValueError, "X must have at least one row"),
        (lambda: GOOD(jnp.ones((3, 0))), ValueError, "X must have at least one row"),
        (lambda: GOOD(POINTS, jnp.ones((2, 4))), ValueError, "Y must have 3 columns"),
        (lambda: GOOD(POINTS, jnp.ones(3)), ValueError, "Y must have shape"),
        (lambda: GOOD(jnp.ones((2, 3), int)), TypeError, "X must have a floating dtype, got int"),
        (lambda: GOOD(jnp.ones((2, 3), complex)), TypeError, "X must have a floating dtype, got complex"),
        (lambda: GOOD("data"), TypeError, "X must"),
        (lambda: GOOD(POINTS.at[0, 1].set(jnp.nan)), ValueError, "X must be finite, got 1 NaN or inf among 6"),
        (lambda: GOOD(POINTS, POINTS.at[0].set(jnp.inf)), ValueError, "Y must be finite, got 3"),
        (lambda: GOOD.diag(jnp.ones(3)), ValueError, "X must have shape"),
        (lambda: rbf(0.0), ValueError, "length_scale"),
        (lambda: rbf(-1.0), ValueError, "length_scale"),
        (lambda: rbf(np.nan), ValueError, "length_scale"),
        (lambda: rbf("wide"), TypeError, "length_scale"),
        (lambda: polynomial(0), ValueError, "degree"),
        (lambda: polynomial(1.5), TypeError, "degree"),
        (lambda: polynomial(2, 0.0), ValueError, "scale"),
        (lambda: Polynomial(2, 1.0, -1.0), ValueError, "offset"),
        (lambda: -1.0 * GOOD, ValueError, "factor"),
        (lambda: GOOD + (-1.0), ValueError, "value"),
        (lambda: InfiniteWidth(mlp(depth=1, width=1), "nntk"), ValueError, "reading must be one of nngp, ntk"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_mean_field_network_has_no_kernel():
    with pytest.raises(ValueError, match="mean_field network has no NNGP or NTK"):
        InfiniteWidth(mlp(depth=1, width=8, parameterization="mean_field"), "ntk")(POINTS)


def test_under_tracing_values_pass_and_shapes_are_still_checked():
    assert not np.isfinite(jax.jit(GOOD)(POINTS.at[0, 0].set(jnp.nan))[0, 1])
    with pytest.raises(ValueError, match="X must have shape"):
        jax.jit(GOOD)(jnp.ones(3))

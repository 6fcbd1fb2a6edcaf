"""Kernels of the distance: against scikit-learn, at near pairs, their derivatives, and length scales that are fitted."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.gaussian_process.kernels as sklearn
from sklearn.metrics.pairwise import laplacian_kernel

from rfjax.kernels import Matern, laplace, matern, rational_quadratic, rbf

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
Y[0], Y[1] = X[0], -X[1]
SCALES = np.array([0.5, 1.0, 4.0])


def families(length_scale):
    """Every kernel of the distance at one length scale (or a vector of them), and the same of scikit-learn."""
    mine = [rbf(length_scale), laplace(length_scale), rational_quadratic(0.7, length_scale)]
    theirs = [sklearn.RBF(length_scale), sklearn.Matern(length_scale, nu=0.5)]
    if np.ndim(length_scale) == 0:
        theirs.append(sklearn.RationalQuadratic(length_scale, alpha=0.7))
    else:
        mine.pop()  # scikit-learn's has one length scale
    for nu in (1.5, 2.5, 3.5):
        mine.append(matern(nu, length_scale))
        theirs.append(sklearn.Matern(length_scale, nu=nu))
    return mine, theirs


def test_they_are_those_of_scikit_learn(stacked):
    pairs = [families(length_scale) for length_scale in (0.3, 1.7, SCALES)]
    mine, theirs = (list(itertools.chain(*side)) for side in zip(*pairs, strict=True))
    np.testing.assert_allclose(stacked(mine)(X, Y), [k(X, Y) for k in theirs], rtol=1e-12, atol=1e-15)


def test_laplace_on_a_line_is_that_of_scikit_learn():
    # Its distance is that of absolute values: in one dimension it is the same.
    computed = laplace(0.8)(X[:, :1], Y[:, :1])
    np.testing.assert_allclose(computed, laplacian_kernel(X[:, :1], Y[:, :1], gamma=1 / 0.8), rtol=1e-13)


def test_a_scale_a_column_is_the_kernel_of_rescaled_columns(stacked):
    one, many = ([rbf(s), laplace(s), matern(1.5, s), rational_quadratic(0.7, s)] for s in (1.0, SCALES))
    np.testing.assert_allclose(stacked(many)(X, Y), stacked(one)(X / SCALES, Y / SCALES), rtol=1e-13)
    as_list = rbf(list(SCALES))(X.astype(np.float32))
    assert as_list.dtype == np.float32
    np.testing.assert_allclose(as_list, sklearn.RBF(SCALES)(X), rtol=0, atol=1e-6)


def test_small_distances_in_single_precision(stacked):
    lengths = (1.0, 1e-2, 1e-3)
    base = rng.normal(size=(3, 6)) + 3  # far from the origin, where ‖x‖² + ‖y‖² − 2⟨x, y⟩ cancels
    moved = [base + length / 3 * rng.normal(size=base.shape) for length in lengths]
    points = np.concatenate([base, base, *moved]).astype(np.float32)
    mine, theirs = (list(itertools.chain(*side)) for side in zip(*map(families, lengths), strict=True))
    exact = np.array([k(points.astype(np.float64)) for k in theirs])
    computed = np.asarray(stacked(mine)(points, points))
    assert computed.dtype == np.float32
    assert ((exact > 0.1) & (exact < 0.95)).any(axis=(1, 2)).all()
    np.testing.assert_allclose(computed, exact, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(np.diag(matern(1.5, 1e-2)(points)), 1)


def test_derivatives(stacked):
    length, alpha, y = 1.3, 0.7, Y[2]
    points = np.stack([X[0], y, -y, 2 * y, 0 * y])
    kernels = [laplace(length), matern(1.5, length), matern(2.5, length), rational_quadratic(alpha, length)]

    @jax.jit
    def derivatives(points):
        # Of two points beside one another, as in any data set.
        def values(x):
            return stacked(kernels)(x[None], np.stack([y, X[3]]))[:, 0, 0]

        return jax.vmap(jax.jacfwd(values))(points), jax.vmap(jax.jacfwd(jax.jacrev(values)))(points)

    first, second = derivatives(points)
    difference = points - y
    r = np.linalg.norm(difference, axis=1) / length
    radial = [
        -np.exp(-r) / np.where(r > 0, r, np.inf),  # the cusp: 0
        -3 * np.exp(-np.sqrt(3) * r),
        -5 / 3 * (1 + np.sqrt(5) * r) * np.exp(-np.sqrt(5) * r),
        -((1 + r**2 / (2 * alpha)) ** (-alpha - 1)),
    ]
    expected = np.array(radial).T[:, :, None] * difference[:, None] / length**2
    np.testing.assert_allclose(first, expected, rtol=0, atol=1e-13)
    assert np.isfinite(second).all()
    flat = np.array([-3, -5 / 3, -1])[:, None, None] * np.eye(3) / length**2
    np.testing.assert_allclose(second[1, 1:], flat, rtol=0, atol=1e-13)


def test_length_scales_are_fitted_by_optax():
    wanted = jnp.array([0.7, 2.0, 1.2])
    target = matern(1.5, wanted)(X)

    @jax.jit
    def fitted(kernel):
        optimizer = optax.adam(0.05)

        def step(carry, _):
            kernel, state = carry
            slopes = jax.grad(lambda k: jnp.sum((k(X) - target) ** 2))(kernel)
            updates, state = optimizer.update(slopes, state)
            return (optax.apply_updates(kernel, updates), state), None

        return jax.lax.scan(step, (kernel, optimizer.init(kernel)), length=400)[0][0]

    with jax.numpy_dtype_promotion("standard"):  # adam's own count is an integer
        found = fitted(matern(1.5, jnp.ones(3)))
    assert isinstance(found, Matern)
    np.testing.assert_allclose(found.length_scale, wanted, rtol=1e-3)


def test_hyperparameters_vmap_and_differentiate():
    lengths, alphas = np.array([0.5, 1.0, 1.7]), np.array([0.3, 1.0, 4.0])

    @jax.jit
    def together(lengths, alphas):
        def value(length, alpha):
            return rational_quadratic(alpha, length)(X, Y)

        return jax.vmap(value)(lengths, alphas), jax.vmap(jax.jacfwd(value, argnums=(0, 1)))(lengths, alphas)

    values, (by_length, by_alpha) = together(lengths, alphas)
    square = np.sum((X[:, None] - Y) ** 2, axis=-1)
    for i, (length, alpha) in enumerate(zip(lengths, alphas, strict=True)):
        ratio = square / (2 * alpha * length**2)
        value = (1 + ratio) ** -alpha
        np.testing.assert_allclose(values[i], value, rtol=1e-12)
        np.testing.assert_allclose(by_length[i], 2 * alpha / length * ratio / (1 + ratio) * value, rtol=1e-12)
        expected = (ratio / (1 + ratio) - np.log1p(ratio)) * value
        np.testing.assert_allclose(by_alpha[i], expected, rtol=1e-10, atol=1e-14)


def test_integer_hyperparameters_differentiate():
    assert jax.tree.leaves(jax.eval_shape(jax.grad(lambda k: k(X).sum()), rational_quadratic(2, 1)))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: rbf(0), ValueError, "length_scale must be a finite number > 0.0, got 0"),
        (lambda: laplace(-1.0), ValueError, "length_scale"),
        (lambda: rbf([1.0, 0.0]), ValueError, r"length_scale must hold finite numbers > 0, got \[1.0, 0.0\]"),
        (lambda: rbf(jnp.array([1.0, np.nan])), ValueError, "length_scale must hold finite numbers > 0"),
        (lambda: rbf([]), ValueError, r"length_scale must be a number or a vector \[d\], got shape \[0\]"),
        (lambda: rbf(np.ones((2, 2))), ValueError, r"got shape \[2, 2\]"),
        (lambda: rbf(["a", "b"]), TypeError, "length_scale must hold real numbers"),
        (lambda: rbf([1.0, 2.0])(X), ValueError, "length_scale must have one entry a column: got 2 for 3 columns"),
        (
            lambda: matern(1.0),
            ValueError,
            r"nu must be a half-integer \(0.5, 1.5, 2.5, ...; rbf is its limit\), got 1.0",
        ),
        (lambda: matern(np.inf), ValueError, "nu must be a finite number"),
        (lambda: matern("rough"), TypeError, "nu must be a real number"),
        (lambda: rational_quadratic(0.0), ValueError, "alpha must be a finite number > 0.0"),
    ],
)
def test_bad_input_is_named(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize(
    "kernel",
    [
        rbf(2.0),
        laplace(2.0),
        pytest.param(matern(2.5, [1.0, 2.0, 3.0]), marks=pytest.mark.slow),
        pytest.param(rational_quadratic(1.0, 2.0), marks=pytest.mark.slow),
    ],
    ids=("rbf", "laplace", "matern", "rational quadratic"),
)
def test_distances_beyond_the_range_of_float32_are_far(kernel):
    exact = np.eye(4)
    exact[0, 1] = exact[1, 0] = 1
    slope = jax.jit(jax.value_and_grad(lambda k, X: k(X).sum(), (0, 1)))
    for size in (1e17, 1e19, 1e25):
        X = np.array([[1.0, 2.0, -1.0], [1.0, 2.0, -1.0], [-3.0, 0.5, 1.0], [1e-17, 0.0, 0.0]]) * size
        X = X.astype(np.float32)
        np.testing.assert_allclose(kernel(X), exact, rtol=0, atol=1e-5)
        value, slopes = slope(kernel, X)
        assert abs(float(value) - exact.sum()) < 1e-4
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(slopes))

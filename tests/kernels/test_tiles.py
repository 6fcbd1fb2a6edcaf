"""Tiles change neither the matrix nor its derivatives, keep to their memory, and multiply without forming it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.kernels import Tiling, memory_bound

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(37, 4)), RNG.normal(size=(23, 4))
X[5], X[9], Y[3], Y[20] = X[30], 0, X[0], -X[36]
V, W = RNG.normal(size=(23, 2)), RNG.normal(size=37)
KERNEL = rf.ntk(rf.mlp(depth=1, width=1, b_std=0.1)) + 0.3 * rf.rbf(0.7)
SMALL = 8 * 8 * 64  # tiles of 64 float64 entries


def loss(length_scale, X, Y):
    k = rf.rbf(length_scale)
    return jnp.sum(jnp.sin(k(X, Y))) + jnp.sum(jnp.cos(k(X)))


@pytest.mark.parametrize(
    ("n", "m", "bytes_"), list(itertools.product([1, 7, 64, 1009], [1, 10, 997], [512, 10_000, 10**9]))
)
def test_tilings_cover_within_the_bound(n, m, bytes_):
    with memory_bound(bytes_):
        cut = Tiling.of(n, m, 4)
        square = Tiling.of(n, n, 4, square=True)
    for t, rows, columns in ((cut, n, m), (square, n, n)):
        covered = np.zeros((rows, columns), bool)
        for i, j in t.starts(rows, columns):
            assert 0 <= i <= rows - t.rows
            assert 0 <= j <= columns - t.columns
            covered[i : i + t.rows, j : j + t.columns] = True
        assert covered.all()
        assert t.rows * t.columns <= max(64, bytes_ // 32)
        assert t.down * t.rows < rows + t.down  # nearly no row twice
    assert (square.rows, square.down) == (square.columns, square.across)


def test_tiles_change_nothing():
    whole, square = KERNEL(X, Y), KERNEL(X)
    with memory_bound(SMALL):
        assert Tiling.of(37, 23, 8).down > 1
        np.testing.assert_allclose(KERNEL(X, Y), whole, rtol=0, atol=1e-13)
        tiled = np.asarray(KERNEL(X))
    np.testing.assert_allclose(tiled, square, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(tiled, tiled.T)
    np.testing.assert_allclose(np.diag(tiled), KERNEL.diag(X), rtol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize(("x", "y", "v"), [("float32", "float64", "float32"), ("float64", "float32", "float32")])
def test_products_of_mixed_precision_take_the_widest(x, y, v):
    points = jnp.asarray(X, x), jnp.asarray(Y, y), jnp.asarray(V, v)
    with memory_bound(SMALL), jax.numpy_dtype_promotion("standard"):
        expected = np.asarray(KERNEL(*points[:2])) @ V
        product = KERNEL.matvec(*points)
        square = KERNEL.matvec(points[0], None, jnp.asarray(W, y))
    assert product.dtype == square.dtype == "float64"
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_tiles_change_no_derivative():
    derivatives = jax.grad(loss, argnums=(0, 1, 2))
    whole = derivatives(0.9, jnp.asarray(X), jnp.asarray(Y))
    with memory_bound(SMALL):
        tiled = derivatives(0.9, jnp.asarray(X), jnp.asarray(Y))
        forward = jax.jvp(lambda scale: loss(scale, X, Y), (0.9,), (1.0,))[1]
    for a, b in zip(whole, tiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
    np.testing.assert_allclose(forward, whole[0], rtol=1e-10)


def test_products_without_the_matrix():
    expected = np.asarray(KERNEL(X, Y)) @ V, np.asarray(KERNEL(X)) @ W
    for nbytes in (SMALL, 10**9):
        with memory_bound(nbytes):
            np.testing.assert_allclose(KERNEL.matvec(X, Y, V), expected[0], rtol=0, atol=1e-11)
            np.testing.assert_allclose(KERNEL.matvec(X, None, W), expected[1], rtol=0, atol=1e-11)


@pytest.mark.slow
def test_products_differentiate():
    def through_matrix(scale, W):
        return jnp.sum(jnp.sin((KERNEL * rf.rbf(scale))(X) @ W))

    def without(scale, W):
        return jnp.sum(jnp.sin((KERNEL * rf.rbf(scale)).matvec(X, None, W)))

    with memory_bound(SMALL):
        computed = jax.grad(without, argnums=(0, 1))(0.9, jnp.asarray(W))
    for a, b in zip(computed, jax.grad(through_matrix, argnums=(0, 1))(0.9, jnp.asarray(W)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


def test_products_of_features_and_gradients():
    net = rf.mlp(depth=1, width=5)
    params = net.init(jax.random.key(0), 4)
    for kernel in (rf.random_features(net, params=params).kernel, rf.empirical_ntk(net, params)):
        np.testing.assert_allclose(kernel.matvec(X, Y, V), np.asarray(kernel(X, Y)) @ V, rtol=0, atol=1e-11)
        np.testing.assert_allclose(kernel.matvec(X, None, W), np.asarray(kernel(X)) @ W, rtol=0, atol=1e-11)
    full = rf.empirical_ntk(net, params, outputs="full")
    np.testing.assert_allclose(full.matvec(X, Y, V), np.asarray(full(X, Y)) @ V, rtol=0, atol=1e-11)


def test_memory_is_bounded():
    # What the compiler sets aside for temporaries, beside arguments and result.
    def temporaries(nbytes: int) -> int:
        points = jax.ShapeDtypeStruct((2000, 3), jnp.float32)
        with memory_bound(nbytes):
            lowered = jax.jit(lambda X, Y, V: KERNEL.matvec(X, Y, V)).lower(points, points, points)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporaries(2**20) < 2 * 2**20 < 2000 * 2000 * 4 < temporaries(2**30)


def test_gradients_hold_no_array_of_all_pairs_and_columns():
    n, d = 128, 1024

    def total(X):
        return rf.rbf(1.0)(X).sum()

    compiled = jax.jit(jax.grad(total)).lower(jax.ShapeDtypeStruct((n, d), jnp.float32)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 0.5 * n * n * d * 4


@pytest.mark.parametrize(("bad", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_bad_bounds_raise(bad, error):
    with pytest.raises(error, match="nbytes"), memory_bound(bad):
        pass


def test_bad_products_raise():
    for wrong in (V[:-1], W):
        with pytest.raises(ValueError, match="V must have one row a data point"):
            KERNEL.matvec(X, Y, wrong)


def test_values_beyond_the_dtype_raise():
    with pytest.raises(ValueError, match="leaves the range of float32"):
        rf.ntk(rf.mlp(depth=1, width=1))(np.full((3, 2), 1e20, np.float32))
    huge = rf.ntk(rf.mlp(depth=1, width=1, w_std=1e12))
    for call in (lambda x: huge(x), lambda x: huge(x, x), huge.diag, lambda x: huge.matvec(x, None, x)):
        with pytest.raises(ValueError, match="leaves the range of float32"):
            call(np.full((3, 2), 1e9, np.float32))


@pytest.mark.parametrize("n", [500, 1000, 2000])
def test_symmetry_compiles_at_every_size(n):
    # Written with one comparison of two iotas, the mirror image kept XLA's simplifier busy for minutes at these sizes.
    x = np.linspace(0, 1, n, dtype=np.float32)[:, None]
    K = rf.kernels.Polynomial(degree=1)(x)
    np.testing.assert_array_equal(K, np.asarray(K).T)

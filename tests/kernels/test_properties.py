"""What every kernel is, whatever its formula: symmetric, positive semi-definite, and one thing in all its readings.

A new kernel is tested by being registered in KERNELS.  Every test keeps to one shape, so that each kernel compiles once.
"""

import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import jax
import numpy as np
import pytest

from rfjax import activations
from rfjax.kernels import (
    InfiniteWidth,
    Normalised,
    Restrict,
    arc_cosine,
    laplace,
    matern,
    polynomial,
    rational_quadratic,
    rbf,
)
from rfjax.networks import mlp

N, D = 6, 3
KERNELS = {
    "relu nngp": InfiniteWidth(mlp(depth=1, width=1), "nngp"),
    "relu ntk, depth 2": InfiniteWidth(mlp(depth=2, width=1), "ntk"),
    "erf nngp, bias": InfiniteWidth(mlp(depth=1, width=1, activation=activations.erf, w_std=1.5, b_std=0.1), "nngp"),
    "sign nngp": InfiniteWidth(mlp(depth=1, width=1, activation=activations.sign), "nngp"),
    "rbf": rbf(1.5),
    "sum and product": 2.0 * polynomial(2, 0.5, 1.0) + rbf(0.7) * polynomial(1),
    "laplace": laplace(3.0),
    "matern": matern(2.5, 1.5),
    "rational quadratic": rational_quadratic(0.8, 2.0),
    "angular": arc_cosine(0),
    "arc-cosine, order 2": arc_cosine(2),
    "normalised": Normalised(polynomial(2)),
    "columns": matern(1.5, [0.5, 2.0, 10.0]) + Restrict(laplace(2.0), [2, 0]),
}
ISOTROPIC = [name for name in KERNELS if name != "columns"]
HOMOGENEOUS = ("relu nngp", "relu ntk, depth 2")

# Rows that are often equal, opposite, collinear or zero; squares do not underflow.
entries = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 2.0]), st.integers(-30_000, 30_000).map(lambda i: i / 1000))
rows = hypothesis.extra.numpy.arrays(np.float64, (N, D), elements=entries)
rounds = hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)


def scale(diagonal: np.ndarray) -> np.ndarray:
    return np.sqrt(np.outer(diagonal, diagonal))


@pytest.mark.parametrize("name", KERNELS)
def test_gram_matrices(name):
    k = KERNELS[name]

    @rounds
    @hypothesis.given(rows)
    def holds(X):
        gram, diagonal = np.asarray(k(X)), np.asarray(k.diag(X))
        assert gram.shape == (N, N)
        assert diagonal.shape == (N,)
        assert gram.dtype == np.float64
        np.testing.assert_array_equal(gram, gram.T)
        np.testing.assert_allclose(np.diag(gram), diagonal, rtol=1e-15)
        assert (np.abs(gram) <= scale(diagonal) * (1 + 1e-14)).all()  # Cauchy–Schwarz
        assert np.linalg.eigvalsh(gram).min() >= -1e-14 * diagonal.sum()

    holds()


def test_gram_matrices_are_symmetric_inside_a_larger_program():
    # There the compiler may compute the two halves in two orders of rounding.
    rng = np.random.default_rng(0)
    gram = jax.jit(lambda k, X: 2 * k(X))
    for _ in range(20):
        X = rng.integers(-2, 3, size=(N, D)).astype(np.float64)
        computed = np.asarray(gram(KERNELS["erf nngp, bias"], X))
        np.testing.assert_array_equal(computed, computed.T)


@pytest.mark.parametrize("name", ["relu ntk, depth 2", "sum and product"])
def test_two_data_sets_are_blocks_of_one(name):
    k = KERNELS[name]
    X = np.random.default_rng(0).normal(size=(N, D))
    X[1], X[2], X[3] = X[0], -X[0], 0
    order = np.array([3, 0, 0, 5, 1, 2])
    np.testing.assert_allclose(k(X, X[order]), np.asarray(k(X))[:, order], rtol=1e-12, atol=1e-12)


def orthogonal(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))[0]


@pytest.mark.parametrize("name", ISOTROPIC)
def test_rotations_change_nothing(name):
    k = KERNELS[name]

    @rounds
    @hypothesis.given(rows, st.integers(0, 1000))
    def holds(X, seed):
        # Rounding moves angles by about 1e-16, except of points at 0 or at one another, where a sign or an NTK has cusps.
        moved, still = np.asarray(k(X @ orthogonal(seed))), np.asarray(k(X))
        assert (np.abs(moved - still) <= 1e-13 * scale(np.diag(still))).all()

    holds()


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_relu_without_bias_is_homogeneous(name):
    k = KERNELS[name]

    @rounds
    @hypothesis.given(rows, hypothesis.extra.numpy.arrays(np.float64, (N, 1), elements=st.floats(1e-3, 1e3)))
    def holds(X, factors):
        scaled, expected = np.asarray(k(factors * X)), factors * np.asarray(k(X)) * factors.T
        assert (np.abs(scaled - expected) <= 1e-13 * scale(np.diag(expected))).all()

    holds()


@pytest.mark.parametrize("name", ["relu ntk, depth 2"])
def test_float32_gram_matrices_are_float32_and_symmetric(name):
    X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    X[1], X[2], X[3] = X[0], -X[0], 0
    gram, exact = np.asarray(KERNELS[name](X)), np.asarray(KERNELS[name](X.astype(np.float64)))
    assert gram.dtype == np.float32
    np.testing.assert_array_equal(gram, gram.T)
    assert (np.abs(gram - exact) <= 1e-5 * scale(np.diag(exact))).all()
    assert np.linalg.eigvalsh(gram.astype(np.float64)).min() > -1e-6 * np.trace(exact)


def test_one_point_and_one_column():
    # w_std² = 2: on a line relu's kernel is 2·max(0, xy), every pair being coincident or opposite in direction.
    k = KERNELS["relu nngp"]
    line = np.array([[2.0], [-1.0], [0.5]])
    np.testing.assert_allclose(k(line), 2 * np.maximum(0, line * line.T), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(k(np.array([[0.7, -0.2, 1.0]])), [[2 * 1.53 / 3]], rtol=1e-14)

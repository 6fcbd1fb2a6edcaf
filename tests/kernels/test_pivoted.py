"""Randomly pivoted Cholesky against a factor computed one column at a time, and against the law it draws from."""

import jax
import numpy as np
import pytest

import rfjax as rf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
KERNEL = rf.rbf(1.0)
K = np.exp(-((X[:, None] - X) ** 2).sum(-1) / 2)


def given(pivots):
    """The Nyström approximation from these columns."""
    return K[:, pivots] @ np.linalg.pinv(K[np.ix_(pivots, pivots)], rcond=1e-13) @ K[pivots]


@pytest.mark.parametrize(("rank", "block"), [(1, None), (12, 1), (12, 5), (12, 12), (30, 50)])
def test_factor_is_that_of_its_pivots(rank, block):
    found = rf.kernels.pivoted_cholesky(KERNEL, X, rank, key=jax.random.key(3), block=block)
    pivots = np.asarray(found.pivots)
    assert int(found.count) == rank == len(set(pivots.tolist()))
    approximate = np.asarray(found.factor).T @ np.asarray(found.factor)
    np.testing.assert_allclose(approximate, given(pivots), rtol=0, atol=1e-7)
    np.testing.assert_allclose(found.residual, np.trace(K - approximate) / 60, rtol=0, atol=1e-9)


def test_pairs_of_pivots_have_the_law_of_one_at_a_time():
    # P(i, j) = K_ii/tr K · d_j/Σd, d the diagonal left by i: over 4000 draws each cell within 5 standard errors.
    few = X[:5]
    draw = jax.jit(jax.vmap(lambda key: rf.kernels.pivoted_cholesky(KERNEL, few, 2, key=key, block=4).pivots))
    pivots = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)))
    small = K[:5, :5]
    exact = np.zeros((5, 5))
    for i in range(5):
        left = np.diag(small) - small[:, i] ** 2
        exact[i] = left / left.sum() / 5
    counts = np.zeros((5, 5))
    np.add.at(counts, (pivots[:, 0], pivots[:, 1]), 1)
    error = np.sqrt(exact * (1 - exact) / 4000)
    assert (np.abs(counts / 4000 - exact) <= 5 * error + 1e-12).all()


def test_low_rank_ends_early():
    linear = rf.polynomial(1, offset=0.0)
    found = rf.kernels.pivoted_cholesky(linear, X, 20, key=jax.random.key(0))
    assert int(found.count) == 2
    np.testing.assert_allclose(np.asarray(found.factor).T @ np.asarray(found.factor), X @ X.T, rtol=0, atol=1e-12)
    assert (np.asarray(found.pivots)[2:] == -1).all() and (np.asarray(found.factor)[2:] == 0).all()

"""The problem that the tests of this room share: one set of shapes, compiled once."""

import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf


class Problem:
    """Ten points with two targets, four new points, and the rbf kernel written again in NumPy."""

    kernel = rf.rbf(1.5)

    def __init__(self):
        rng = np.random.default_rng(0)
        self.X, self.Z = rng.normal(size=(10, 3)), rng.normal(size=(4, 3))
        self.Y = rng.normal(size=(10, 2))
        self.K, self.cross = self.gram(self.X, self.X), self.gram(self.Z, self.X)
        self.largest = np.linalg.eigvalsh(self.K)[-1]

    @staticmethod
    def gram(A, B, length_scale=1.5):
        return np.exp(-((A[:, None] - B) ** 2).sum(-1) / (2 * length_scale**2))

    @staticmethod
    def start(X):
        return jnp.stack([X[:, 0], X[:, 1] ** 2], axis=1)


@pytest.fixture(scope="module")
def p() -> Problem:
    return Problem()


@pytest.fixture
def no_gram(monkeypatch):
    """Forbids Gram matrices: what runs under it works by products with the kernel alone."""

    def refuse(self, X, Y=None):
        raise AssertionError("a Gram matrix was formed")

    monkeypatch.setattr(rf.Kernel, "__call__", refuse)

"""The infinite-width reading of several networks in one compilation, and the textbook recursion on whole Gram matrices."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax.networks import Layer, State
from rfjax.numerics import Covariance


def start(X: np.ndarray) -> State:
    """The state of all pairs of rows of X, in X's dtype, from float64 differences."""
    Z = X.astype(float)
    norms = np.linalg.norm(Z, axis=1)
    spread = (norms[:, None] - norms) ** 2
    below = (np.sum((Z[:, None] - Z) ** 2, axis=-1) - spread) / 2
    below = np.maximum(np.where(np.eye(len(Z), dtype=bool), 0, below), 0)
    above = 2 * np.outer(norms, norms) - below
    moments = (norms[:, None] ** 2, norms[None] ** 2, below, above)
    pair = Covariance(*(jnp.asarray(v / X.shape[1], X.dtype) for v in moments))
    return State(pair, jnp.zeros(below.shape, X.dtype), X.shape[1])


def diagonal(X: np.ndarray) -> State:
    """The state of every row of X with itself."""
    square = jnp.asarray(np.sum(X.astype(float) ** 2, axis=1) / X.shape[1], X.dtype)
    return State(Covariance.of_equal(square), jnp.zeros_like(square), X.shape[1], same=True)


@pytest.fixture(scope="session")
def pairs_of() -> Callable[[np.ndarray], State]:
    return start


@pytest.fixture(scope="session")
def limits() -> Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]:
    """(NNGP, NTK) of every network at X, the diagonal read as pairs of a point with itself."""

    def evaluate(networks: Mapping[str, Layer], X: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        @jax.jit
        def run(pairs: State, own: State):
            states = {name: (net.propagate(pairs), net.propagate(own)) for name, net in networks.items()}
            return {name: [(s.nngp, s.ntk) for s in both] for name, both in states.items()}

        def whole(pairs, own):
            assert pairs.dtype == own.dtype == X.dtype
            return np.where(np.eye(len(X), dtype=bool), own[:, None], pairs)

        read = jax.tree.map(np.asarray, run(start(X), diagonal(X)))
        return {name: tuple(whole(p, o) for p, o in zip(*both, strict=True)) for name, both in read.items()}

    return evaluate


@dataclasses.dataclass
class Textbook:
    """Gram matrices K (NNGP) and T (NTK), layer by layer, as papers write them: no care for rounding."""

    K: np.ndarray
    T: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> "Textbook":
        return cls(X @ X.T / X.shape[1], np.zeros((len(X), len(X))))

    def dense(self, w: float, b: float = 0.0, *, fan_in: int | None = None) -> "Textbook":
        """`fan_in` in the standard parameterisation."""
        K = w**2 * self.K + b**2
        return Textbook(K, (K if fan_in is None else fan_in * self.K + (b != 0)) + w**2 * self.T)

    def relu(self) -> "Textbook":
        size = np.sqrt(np.outer(np.diag(self.K), np.diag(self.K)))
        theta = np.arccos(np.clip(self.K / size, -1, 1))
        K = size * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)
        return Textbook(K, (np.pi - theta) / (2 * np.pi) * self.T)

    def norm(self, eps: float = 0.0) -> "Textbook":
        size = np.sqrt(np.outer(np.diag(self.K) + eps, np.diag(self.K) + eps))
        return Textbook(self.K / size, self.T / size)

    def drop(self, rate: float) -> "Textbook":
        return Textbook(*(M + np.diag(np.diag(M)) * rate / (1 - rate) for M in (self.K, self.T)))

    def __add__(self, other: "Textbook") -> "Textbook":
        return Textbook(self.K + other.K, self.T + other.T)


@pytest.fixture(scope="session")
def textbook() -> type[Textbook]:
    return Textbook

"""Any other kernel of norms and an angle is one fit: equal to its layers, with the same derivatives, or not used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.kernels import CrossPairs, InfiniteWidth, infinite
from rfjax.kernels.infinite import Fitted

NETWORKS = {
    "relu with bias": rf.mlp(depth=3, width=1, b_std=0.3),
    "erf": rf.mlp(depth=4, width=1, activation=rf.activations.erf, w_std=1.5, b_std=0.1),
    "tanh": rf.mlp(depth=1, width=1, activation=jnp.tanh, w_std=1.2),
    "silu, residual": rf.Serial(
        rf.Dense(1), rf.Residual(rf.Activation(rf.activations.silu), rf.Dense(1, 1.0, 0.2)), rf.Dense(1)
    ),
}


@pytest.fixture(autouse=True)
def small_enough(monkeypatch):
    monkeypatch.setattr(infinite, "_MANY", 1)
    monkeypatch.setattr(infinite, "_FEW", 1)
    monkeypatch.setattr(infinite, "_LEAST", 1)


def points(ratio: float, dtype: str, n: int = 40) -> np.ndarray:
    """Points whose norms reach over `ratio`, some of them the same, opposite and nearly so."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 5))
    X[1], X[2], X[3] = X[0], -X[0], X[0] + 1e-4 * X[4]
    X *= 5**0.5 / np.linalg.norm(X, axis=1, keepdims=True) * ratio ** rng.uniform(-0.5, 0.5, size=(n, 1))
    return X.astype(dtype)


@jax.jit
def fitted(kernel, X, Y):
    return kernel._prepared(X, Y)


@jax.jit
def layers(kernel, X, Y):
    return kernel._evaluate(CrossPairs(X, Y))


CASES = [("tanh", 2.0, "float32"), ("erf", 1.0, "float32")]
SLOW = [
    ("relu with bias", 1.0, "float32"),
    ("relu with bias", 1.0, "float64"),
    ("erf", 1.5, "float32"),
    ("silu, residual", 4.0, "float32"),
    ("erf", 1.0, "float64"),
    ("tanh", 1.2, "float64"),
]


@pytest.mark.parametrize(
    ("name", "ratio", "dtype"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_the_surface_is_the_layers(name, ratio, dtype):
    kernel, X = InfiniteWidth(NETWORKS[name], "ntk"), points(ratio, dtype)
    Y = X[::-1]
    prepared = fitted(kernel, X, Y)
    assert isinstance(prepared, Fitted)
    assert prepared.holds
    scale = np.sqrt(np.outer(kernel.diag(X), kernel.diag(Y)))
    found = kernel(X, Y)
    assert found.dtype == dtype
    assert 0 < (np.abs(found - layers(kernel, X, Y)) / scale).max() < (1e-5 if dtype == "float32" else 1e-10)
    np.testing.assert_array_equal(kernel(X), kernel(X).T)


@pytest.mark.parametrize(
    ("depth", "ratio"),
    [
        (1, 1.0),
        pytest.param(4, 1.0, marks=pytest.mark.slow),
        pytest.param(4, 1.05, marks=pytest.mark.slow),
    ],
)
def test_derivatives_are_those_of_the_layers(depth, ratio):
    X = points(ratio, "float64")[5:25]  # no pair at an angle where the kernel has a kink
    Y = points(ratio, "float64")[25:]

    def kernel(b_std):
        net = rf.mlp(depth=depth, width=1, activation=rf.activations.erf, w_std=1.5, b_std=b_std)
        return InfiniteWidth(net, "ntk")

    def value(b_std, X, of):
        return jnp.sum(jnp.sin(of(kernel(b_std), X)))

    def by_surface(kernel, X):
        return fitted(kernel, X, Y)._evaluate(CrossPairs(X, Y))

    assert fitted(kernel(0.3), X, Y).holds
    found = jax.jit(jax.grad(lambda b, X: value(b, X, by_surface), (0, 1)))(0.3, X)
    expected = jax.jit(jax.grad(lambda b, X: value(b, X, lambda k, X: layers(k, X, Y)), (0, 1)))(0.3, X)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6 * np.abs(other).max())


@pytest.mark.parametrize("what", ["a zero row", "norms too far apart", "values that vanish"])
def test_where_the_surface_does_not_hold_the_layers_are_asked(what):
    X, net = points(1.0, "float64"), rf.mlp(depth=1, width=1, activation=rf.activations.erf, w_std=1.5, b_std=0.1)
    if what == "a zero row":
        X[7] = 0
    elif what == "norms too far apart":
        X[7] *= 1e5
    else:
        net = rf.Serial(*net.layers[:-1], rf.Dense(1, 0.0, 0.0))
    kernel = InfiniteWidth(net, "ntk" if what != "values that vanish" else "nngp")
    assert not fitted(kernel, X, X).holds
    np.testing.assert_allclose(kernel(X, X), layers(kernel, X, X), rtol=1e-12, atol=1e-13)
    slope = jax.jit(jax.grad(lambda X: jnp.sum(fitted(kernel, X, X)._evaluate(CrossPairs(X, X)))))(X)
    assert jnp.isfinite(slope).all()

"""A kernel of the angle alone is one polynomial: equal to its layers, at every depth and every angle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.kernels import CrossPairs, InfiniteWidth
from rfjax.kernels.infinite import Fitted

RNG = np.random.default_rng(0)
ANGLES = np.concatenate([[0, 1e-6, 1e-4, 1e-3, 0.03, 0.05], np.linspace(0.1, np.pi - 0.1, 50)])
ANGLES = np.concatenate([ANGLES, np.pi - ANGLES[:6]])


def points(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """X [70, 3] and Y [62, 3], with the first row of X at ANGLES to those of Y."""
    X, Y = RNG.normal(size=(70, 3)), np.zeros((62, 3))
    X[0], Y[:, 0], Y[:, 1] = (1, 0, 0), np.cos(ANGLES), np.sin(ANGLES)
    Y *= np.exp(RNG.normal(size=(62, 1)))
    return X.astype(dtype), Y.astype(dtype)


@jax.jit
def both(kernel, X, Y):
    """The kernel by its curve, whether that holds, and the kernel layer by layer."""
    prepared = kernel._prepared(X, Y)
    pairs = CrossPairs(X, Y)
    return prepared._evaluate(pairs), prepared.holds, kernel._evaluate(CrossPairs(X, Y))


@jax.jit
def layers_only(kernel, X, Y):
    return kernel._evaluate(CrossPairs(X, Y))


HOMOGENEOUS = {
    "relu, depth 1": rf.mlp(depth=1, width=1),
    "relu, depth 10": rf.mlp(depth=10, width=1, w_std=1.3),
    "relu, depth 100": rf.mlp(depth=100, width=1),
    "leaky relu, depth 3": rf.mlp(depth=3, width=1, activation=rf.activations.leaky_relu(-0.2)),
    "abs, standard": rf.mlp(depth=4, width=7, activation=rf.activations.abs, w_std=1.0, parameterization="standard"),
    "erf after a norm": rf.Serial(
        rf.Dense(1), rf.LayerNorm(), rf.Activation(rf.activations.erf), rf.Dense(1, 1.5, 0.3)
    ),
}
SMOOTH = rf.mlp(depth=3, width=1, activation=rf.activations.erf, w_std=1.5, b_std=0.1)
CASES = [(name, "ntk", "float32") for name in HOMOGENEOUS]
CASES += [
    ("relu, depth 10", "nngp", "float32"),
    ("relu, depth 10", "ntk", "float64"),
    ("relu, depth 100", "ntk", "float64"),
]


# The others show the same of more networks, and compile as long.
TELLING = ("relu, depth 1", "relu, depth 10")


def marked(case):
    slow = case[0] not in TELLING or case[1:] != ("ntk", "float32")
    return pytest.param(*case, id=", ".join(case), marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize(("name", "reading", "dtype"), [marked(case) for case in CASES])
def test_the_curve_is_the_layers(name, reading, dtype):
    net = HOMOGENEOUS[name]
    X, Y = points(dtype)
    curve, holds, layers = both(InfiniteWidth(net, reading), X, Y)
    assert holds
    assert curve.dtype == dtype
    scale = np.sqrt(np.outer(InfiniteWidth(net, reading).diag(X), InfiniteWidth(net, reading).diag(Y)))
    assert (np.abs(curve - layers) / scale).max() < (1e-5 if dtype == "float32" else 1e-10)


def test_far_apart_points_are_read_off_the_product():
    X, Y = (v.copy() for v in points("float32"))
    X[:, 0], X[:, 1:] = np.sign(X[:, 0]), 0
    angles = np.linspace(0.11, np.pi - 0.11, len(Y))
    Y[:, 0], Y[:, 1] = np.cos(angles), np.sin(angles)
    kernel = InfiniteWidth(HOMOGENEOUS["relu, depth 10"], "ntk")
    curve, holds, layers = both(kernel, X, Y)
    assert holds
    scale = float(kernel.diag(X)[0])
    assert 0 < np.abs(curve - layers).max() / scale < 1e-5  # 0 would be the layers themselves


@pytest.mark.parametrize("swapped", [False, True])
def test_a_curve_shares_the_geometry_of_pairs_with_other_kernels(swapped):
    X, Y = points("float32")  # some of them nearly parallel, which the curve works out in a branch of its own
    curve, layers = rf.ntk(HOMOGENEOUS["relu, depth 1"]), rf.ntk(SMOOTH)
    both = layers + curve if swapped else curve + layers
    np.testing.assert_allclose(both(X, Y), curve(X, Y) + layers(X, Y), rtol=1e-5)
    np.testing.assert_allclose(both(X), curve(X) + layers(X), rtol=1e-5)


@pytest.mark.slow
def test_where_there_is_no_curve_the_layers_are_asked():
    rough = InfiniteWidth(rf.mlp(depth=2, width=1, activation=rf.activations.sign), "nngp")  # bends like √θ at θ = 0
    X, Y = points("float64")
    prepared = rough._prepared(X, Y)
    assert isinstance(prepared, Fitted)
    assert not prepared.holds
    np.testing.assert_allclose(rough(X, Y), layers_only(rough, X, Y), rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_hyperparameters_differentiate_through_the_curve():
    X, Y = points("float64")

    def value(w_std, evaluate):
        return jnp.sum(jnp.sin(evaluate(InfiniteWidth(rf.mlp(depth=3, width=1, w_std=w_std), "ntk"))))

    slope = jax.grad(value)(1.3, lambda kernel: kernel(X, Y))
    layers = jax.jit(jax.grad(lambda w: value(w, lambda kernel: kernel._evaluate(CrossPairs(X, Y)))))(1.3)
    np.testing.assert_allclose(slope, layers, rtol=1e-9)

"""Dual activations against two-dimensional quadrature that knows where the kink is."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rfjax import activations
from rfjax.numerics import Covariance

DISCONTINUOUS = ("step", "sign")
Q11 = np.array([1.0, 1.0, 0.3, 2.0, 1.5, 0.01, 4.0])
Q22 = np.array([1.0, 1.0, 1.7, 0.5, 1.5, 0.3, 2.5])
Q12 = np.sqrt(Q11 * Q22) * np.array([0.5, -0.9, 0.0, 0.8, -0.3, 0.6, 0.95])

_nodes, _weights = np.polynomial.legendre.leggauss(40)
_REACH = 10.0


def _panels(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights against the normal density, Gauss–Legendre between consecutive edges [..., e]."""
    centre, half = (edges[..., 1:] + edges[..., :-1]) / 2, np.diff(edges) / 2
    z = centre[..., None] + half[..., None] * _nodes
    w = half[..., None] * _weights * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return z.reshape(*edges.shape[:-1], -1), w.reshape(*edges.shape[:-1], -1)


def expectation(f: Callable[[np.ndarray], np.ndarray], q11: float, q12: float, q22: float) -> float:
    """E f(u)f(v): u = √q11 z, then v given u, with panels that end where u = 0 and where v = 0."""
    spread = np.sqrt(q22 - q12**2 / q11)
    z, w = _panels(np.array([-_REACH, -5.0, -2.0, -1.0, -0.3, 0.0, 0.3, 1.0, 2.0, 5.0, _REACH]))
    mean = q12 / np.sqrt(q11) * z
    kink = np.clip(-mean / spread, -_REACH, _REACH)
    fixed = np.broadcast_to(np.linspace(-_REACH, _REACH, 9), (z.size, 9))
    inner_z, inner_w = _panels(np.sort(np.concatenate([fixed, kink[:, None]], axis=1), axis=1))
    inner = np.sum(inner_w * f(mean[:, None] + spread * inner_z), axis=1)
    return float(w @ (f(np.sqrt(q11) * z) * inner))


ENDS = np.sqrt(Q11 * Q22)
MOMENTS = (  # inside, u = √(q11/q22)·v, u = −√(q11/q22)·v, and a unit u without variance
    np.concatenate([Q11, Q11, Q11, 0 * Q11]),
    np.concatenate([Q12, ENDS, -ENDS, 0 * Q11]),
    np.tile(Q22, 4),
)
INSIDE, EQUAL, OPPOSITE, CONSTANT = (slice(i * Q11.size, (i + 1) * Q11.size) for i in range(4))


@pytest.fixture(scope="module", params=["float64", pytest.param("float32", marks=pytest.mark.slow)])
def duals(request, functions):
    """The readings of all activations at MOMENTS, as NumPy arrays."""
    # In a program of its own: fused into each use, what rounding leaves of `above` at u = −v might differ among them.
    pair = jax.jit(Covariance.from_moments)(*(jnp.asarray(v, request.param) for v in MOMENTS))
    units = {name: own for name, (own, _) in functions.items()}
    everything = jax.jit(
        lambda pair: {name: (own.propagate(pair), own.derivative(pair)) for name, own in units.items()}
    )
    readings = jax.tree.map(np.asarray, everything(pair))
    assert all(v.dtype == request.param for v in jax.tree.leaves(readings))
    return request.param, {name: (pair.left, pair.right, pair.cross, slope) for name, (pair, slope) in readings.items()}


def test_dual_is_the_expectation(name, duals, functions):
    dtype, readings = duals
    plain = functions[name][1]
    exact = np.array([expectation(plain, *q) for q in zip(Q11, Q12, Q22, strict=True)])
    left, right, cross, _ = (v[INSIDE] for v in readings[name])
    assert (np.abs(cross - exact) / np.sqrt(left * right)).max() < (1e-11 if dtype == "float64" else 1e-6)


def test_ends_are_one_dimensional(name, duals, functions):
    # u and v fully correlated: κ(q11, ±√(q11 q22), q22) = E σ(√q11 z)σ(±√q22 z).
    dtype, readings = duals
    plain = functions[name][1]
    z, w = _panels(np.linspace(-_REACH, _REACH, 41))
    for sign, part in ((1, EQUAL), (-1, OPPOSITE)):
        u, v = plain(np.sqrt(Q11)[:, None] * z), plain(sign * np.sqrt(Q22)[:, None] * z)
        left, right, cross, _ = (r[part] for r in readings[name])
        np.testing.assert_allclose(left, u**2 @ w, rtol=1e-12 if dtype == "float64" else 2e-6)
        np.testing.assert_allclose(right, v**2 @ w, rtol=1e-12 if dtype == "float64" else 2e-6)
        error = np.abs(cross - (u * v) @ w) / np.sqrt((u**2 @ w) * (v**2 @ w))
        if name in DISCONTINUOUS:  # an angle below √eps is not in plain moments
            assert error.max() < (3e-8 if dtype == "float64" else 1e-3)
        else:  # a series of tanh(2z) has a remainder of 1e-10
            series = 1e-10 if "quadrature" in name else 1e-14
            assert error.max() < (series if dtype == "float64" else 2e-6)


def test_a_unit_without_variance_is_constant(name, duals, functions):
    if name in DISCONTINUOUS:
        return  # the value at 0 itself
    dtype, readings = duals
    plain = functions[name][1]
    z, w = _panels(np.linspace(-_REACH, _REACH, 41))
    mean = plain(np.sqrt(Q22)[:, None] * z) @ w
    exact = plain(np.zeros(1)) * mean
    size = max(1, np.abs(exact).max())
    atol = size * (1e-14 if dtype == "float64" else 1e-6)
    np.testing.assert_allclose(readings[name][2][CONSTANT], exact, rtol=0, atol=atol)
    np.testing.assert_allclose(readings[name][0][CONSTANT], plain(np.zeros(1)) ** 2 + 0 * mean, rtol=1e-6)


def test_derivative_dual_is_prices(name, duals, functions):
    dtype, readings = duals
    slope = readings[name][3][INSIDE]
    if name in DISCONTINUOUS:  # the derivative almost everywhere, as a network's gradient sees it
        np.testing.assert_array_equal(slope, 0)
        return
    plain, exact = functions[name][1], []
    for q11, q12, q22 in zip(Q11, Q12, Q22, strict=True):
        step = 1e-3 * np.sqrt(q11 * q22)
        ahead, behind, far, back = (expectation(plain, q11, q12 + i * step, q22) for i in (1, -1, 2, -2))
        exact.append((8 * (ahead - behind) - (far - back)) / (12 * step))
    size = max(1, np.abs(exact).max())
    np.testing.assert_allclose(slope, exact, rtol=0, atol=size * (1e-8 if dtype == "float64" else 2e-6))


@pytest.mark.parametrize("name", ["relu", "erf", "sign", "gelu"])
def test_plain_moments_broadcast(name, functions):
    own, plain = functions[name]
    q11, q22 = np.array([[1.0], [2.0]]), np.array([0.5, 1.0, 3.0])
    dual, slope = jax.jit(lambda *q: (own.dual(*q), own.derivative_dual(*q)))(q11, 0.4, q22)
    exact = [[expectation(plain, a, 0.4, b) for b in q22] for a in q11[:, 0]]
    np.testing.assert_allclose(dual, exact, rtol=0, atol=1e-11)
    assert slope.shape == (2, 3)


def test_values(dtype, functions):
    x = np.array([-3.0, -0.2, 0.0, 0.7, 4.0], dtype)
    for name, (own, plain) in functions.items():
        values = own(jnp.asarray(x))
        assert values.dtype == dtype, name
        # 0 belongs to the positive side of a jump.
        exact = plain(np.where(x == 0, 1e-30, x)) if name in DISCONTINUOUS else plain(x)
        np.testing.assert_allclose(values, exact, rtol=1e-6, atol=1e-7, err_msg=name)


def test_relu_slopes_reconstruct_the_function(functions):
    x = np.linspace(-2, 2, 9)
    for own, plain in functions.values():
        if own.relu_slopes is not None:
            p, q = own.relu_slopes
            np.testing.assert_allclose(p * np.maximum(x, 0) + q * np.maximum(-x, 0), plain(x), atol=1e-15)
    known = [name for name, (own, _) in functions.items() if own.relu_slopes is not None]
    assert known == ["relu", "leaky_relu(0.1)", "abs", "identity"]


def test_homogeneity(functions):
    x = np.linspace(-2, 2, 8)
    for name, (own, plain) in functions.items():
        degrees = [k for k in range(7) if np.allclose(plain(3 * x), 3.0**k * plain(x), rtol=1e-12)]
        if isinstance(own, activations.Quadrature):
            degrees = []  # of a user's function it is not known
        assert degrees == ([] if own.homogeneity is None else [own.homogeneity]), name
    assert activations.polynomial([2.0]).homogeneity == activations.hermite(0).homogeneity == 0
    assert activations.hermite(1).homogeneity == activations.polynomial([0, 2.0]).homogeneity == 1
    assert activations.polynomial([0, 2.0]).relu_slopes == (2.0, -2.0)


def test_low_orders_are_the_members_of_that_name():
    assert activations.rectified_monomial(0) == activations.step
    assert activations.rectified_monomial(1) == activations.relu
    assert activations.polynomial([0, 0, 1]) == activations.monomial(2)


@pytest.mark.parametrize("make", [activations.monomial, activations.rectified_monomial, activations.hermite])
def test_orders_are_counts(make):
    with pytest.raises(ValueError, match="-1"):
        make(-1)
    with pytest.raises(TypeError, match=r"1\.5"):
        make(1.5)


def test_bad_parameters_raise():
    with pytest.raises(ValueError, match="gamma"):
        activations.rbf(-1.0)
    with pytest.raises(ValueError, match="rate"):
        activations.exp(np.inf)
    with pytest.raises(ValueError, match="coefficients"):
        activations.polynomial([])
    with pytest.raises(ValueError, match="coefficients"):
        activations.polynomial([1.0, np.nan])

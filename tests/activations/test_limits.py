"""Every activation at the ends: variances from 0 to the range of float32, angles from 0 to π, values and derivatives."""

import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from rfjax import activations
from rfjax.numerics import Covariance

MEMBERS = {
    "relu": activations.relu,
    "leaky_relu(0.1)": activations.leaky_relu(0.1),
    "abs": activations.abs,
    "step": activations.step,
    "erf": activations.erf,
    "sigmoid_like": activations.sigmoid_like,
    "gelu": activations.gelu,
    "sin": activations.sin,
    "cos": activations.cos,
    "rbf(1.0)": activations.rbf(1.0),
    "gaussian": activations.gaussian,
    "gabor": activations.gabor,
    "exp(0.5)": activations.exp(0.5),
    "monomial(3)": activations.monomial(3),
    "rectified_monomial(2)": activations.rectified_monomial(2),
    "rectified_monomial(3)": activations.rectified_monomial(3),
    "polynomial": activations.polynomial([0.5, 1, -0.5, 0.25]),
    "hermite(3)": activations.hermite(3),
}
# Bounded, and finite at every q.
BOUNDED = ("step", "erf", "sigmoid_like", "sin", "cos", "rbf(1.0)", "gaussian", "gabor")

Q = (0.0, 1e-30, 1e-3, 1.0, 1e3, 1e19, 5e37)
THETA = (0.0, 1e-7, 1e-3, 1.0, np.pi / 2, np.pi - 1e-7, np.pi)
GRID = np.array(list(itertools.product(Q, Q, THETA)))


def covariance(left, right, theta, dtype: str) -> Covariance:
    size = np.sqrt(left) * np.sqrt(right)
    below, above = 2 * size * np.sin(theta / 2) ** 2, 2 * size * np.cos(theta / 2) ** 2
    return Covariance(*(jnp.asarray(v, dtype) for v in (left, right, below, above)))


@jax.jit
def readings(pair):
    """Of every member: its covariance and derivative dual, the gradient of their sum, and that of E σ(u)σ(v)."""

    def one(own):
        def values(pair):
            after = own.propagate(pair)
            return (after, own.derivative(pair)), after.cross

        (found, cross), back = jax.vjp(values, pair)
        ones, zeros = (jax.tree.map(f, found) for f in (jnp.ones_like, jnp.zeros_like))
        return found, back((ones, jnp.zeros_like(cross)))[0], back((zeros, jnp.ones_like(cross)))[0]

    return {name: one(own) for name, own in MEMBERS.items()}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in ("float32", "float64")])
def grid(request):
    return request.param, jax.tree.map(np.asarray, readings(covariance(*GRID.T, request.param)))


@pytest.mark.parametrize("name", MEMBERS)
def test_all_is_finite_that_can_be(name, grid):
    _, found = grid
    (after, slope), total, cross = found[name][0], *found[name][1:]
    representable = np.isfinite(after.left) & np.isfinite(after.right)
    with np.errstate(over="ignore", invalid="ignore"):
        representable &= np.isfinite(2 * np.sqrt(after.left) * np.sqrt(after.right))
    assert representable.mean() > (0.3 if name == "exp(0.5)" else 0.5)
    if name in BOUNDED:
        assert representable.all()
    for v in jax.tree.leaves((after, slope)):
        assert np.isfinite(v[representable]).all()
    inside = representable & (GRID[:, :2].max(axis=1) < 1e20)
    for v in jax.tree.leaves((total, cross)):
        assert np.isfinite(v[inside]).all()
    assert min(after.below[representable].min(), after.above[representable].min()) >= 0
    coincident = representable & (GRID[:, 0] == GRID[:, 1]) & (GRID[:, 2] == 0)
    np.testing.assert_array_equal(after.below[coincident], 0)


@pytest.mark.parametrize("name", [name for name in MEMBERS if name != "step"])
def test_differentiating_the_dual_gives_the_dual_of_the_derivative(name, grid):
    # Price's theorem, through the code's own derivatives: E uv rises where `above` does and `below` falls.
    dtype, found = grid
    (_, slope), _, cross = found[name]
    left, right, _ = GRID.T
    part = (left >= 1e-3) & (right >= 1e-3) & (left <= 1e3) & (right <= 1e3)
    if name == "exp(0.5)":
        part &= left + right < 100
    price = cross.above[part] - cross.below[part]
    size = np.sqrt(diagonal(slope, left[part])) * np.sqrt(diagonal(slope, right[part]))
    assert (np.abs(price - slope[part]) / size).max() < (2e-7 if dtype == "float64" else 1e-3)


def diagonal(values, at):
    """The values at left = right = at, θ = 0."""
    own = {q: values[(GRID[:, 0] == q) & (GRID[:, 1] == q) & (GRID[:, 2] == 0)].item() for q in Q}
    return np.array([own[q] for q in at], np.float64)


def wave(sine: int, cosine: int, squared_frequency: int):
    plus, minus = sine**2 + cosine**2, sine**2 - cosine**2

    def dual(a, c, b):
        half, cross = squared_frequency * (a + b) / 2, squared_frequency * c
        return (plus * mp.exp(cross - half) - minus * mp.exp(-cross - half)) / 2

    return dual


def gelu(a, c, b):
    m = (1 + a) * (1 + b)
    root = mp.sqrt(m - c**2)
    return c / 4 + (c * mp.asin(c / mp.sqrt(m)) + a * b * root / m + c**2 / (m * root)) / (2 * mp.pi)


def gabor(a, c, b):
    determinant = a * b - c**2
    d = 1 + 2 * (a + b) + 4 * determinant
    minus, plus = ((a + b) / 2 + sign * c + 2 * determinant for sign in (-1, 1))
    return (mp.exp(-minus / d) - mp.exp(-plus / d)) / (2 * mp.sqrt(d))


def rectified_square(a, c, b):
    size = mp.sqrt(a * b)
    t = mp.acos(max(-1, min(1, c / size)))
    return size**2 * (3 * mp.sin(t) * mp.cos(t) + (mp.pi - t) * (1 + 2 * mp.cos(t) ** 2)) / (2 * mp.pi)


def cubic(a, c, b):
    constant, quadratic, mixed = mp.mpf("0.25"), -(a + b) / 4, 3 * (a + b) * c / 4
    return constant + quadratic + c + mixed + (a * b + 2 * c**2) / 4 + (9 * a * b * c + 6 * c**3) / 16


# The textbook form, and the error of angles: of θ' with cos θ' = E σ(u)σ(v)/√(E σ(u)² E σ(v)²), and of π − θ'.
TEXTBOOK = {
    "gelu": (gelu, 4),
    "sin": (wave(1, 0, 1), 4),
    "cos": (wave(0, 1, 1), 4),
    "rbf(1.0)": (wave(1, 1, 2), 4),
    "gaussian": (lambda a, c, b: 1 / mp.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * c**2), 4),
    "gabor": (gabor, 4),
    "exp(0.5)": (lambda a, c, b: mp.exp((a + b + 2 * c) / 8), 4),
    "monomial(3)": (lambda a, c, b: 9 * a * b * c + 6 * c**3, 4),
    "rectified_monomial(2)": (rectified_square, 4),
    "polynomial": (cubic, 16),
    "hermite(3)": (lambda a, c, b: (9 * a * b * c + 6 * c**3 - 9 * (a + b) * c + 9 * c) / 6, 4),
}
NEAR = np.array(
    list(
        itertools.product(
            (0.01, 0.3, 3.0, 30.0), (1.0, 1 + 2e-6, 1.0004, 1.02), (0.0, 1e-7, 1e-5, 1e-3, 0.02, 0.1, 1.0)
        )
    )
)


@pytest.mark.slow
def test_angles_of_near_and_antipodal_pairs(dtype):
    left, ratio, theta = np.concatenate([NEAR, NEAR * [1, 1, -1] + [0, 0, np.pi]]).T
    pair = covariance(left, left * ratio, theta, dtype)
    found = jax.tree.map(np.asarray, propagated(pair))
    eps = float(np.finfo(dtype).eps)
    for name, (dual, units) in TEXTBOOK.items():
        after, worst = found[name], 0.0
        for i, values in enumerate(zip(*(np.asarray(v, float) for v in jax.tree.leaves(pair)), strict=True)):
            with mp.workdps(50):
                a, b, below, above = (mp.mpf(v) for v in values)
                size = mp.sqrt(a * b)
                c = size - below if below < above else above - size
                own = mp.sqrt(dual(a, a, a) * dual(b, b, b))
                for computed, exact in ((after.below[i], own - dual(a, c, b)), (after.above[i], own + dual(a, c, b))):
                    error = mp.sqrt(2 * mp.mpf(float(computed)) / own) - mp.sqrt(2 * max(exact, 0) / own)
                    worst = max(worst, float(abs(error)))
        # By a series near u = v, to √eps of an angle of eps^{1/4}; by sums of positive terms elsewhere.
        assert worst < (eps**0.6 if name in ("gelu", "gabor") else units * eps), name


@jax.jit
def propagated(pair):
    return {name: MEMBERS[name].propagate(pair) for name in TEXTBOOK}

"""A plain function as a nonlinearity: recognised where it has a closed form, and equal to it where it has not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from rfjax import activations
from rfjax.numerics import Covariance

THETA = np.array([0.0, 1e-6, 1e-3, 0.2, 1.0, np.pi / 2, 2.5, np.pi])
LEFT = np.array([[1.0], [0.2], [2.0]])
RIGHT = np.array([1.0, 1.0000001, 0.9, 2.0, 0.1, 1.0, 0.5, 3.0])


def pairs(dtype: str) -> Covariance:
    size = np.sqrt(LEFT * RIGHT)
    below, above = 2 * size * np.sin(THETA / 2) ** 2, 2 * size * np.cos(THETA / 2) ** 2
    return Covariance(*(jnp.asarray(v, dtype) for v in (LEFT, RIGHT[None], below, above)))


@pytest.mark.parametrize(
    ("function", "member"),
    [
        (jax.nn.relu, activations.relu),
        (jnp.abs, activations.abs),
        (abs, activations.abs),
        (jax.scipy.special.erf, activations.erf),
        (jax.lax.erf, activations.erf),
        (jnp.sin, activations.sin),
        (jnp.cos, activations.cos),
        (jnp.exp, activations.exp(1.0)),
        (jnp.square, activations.monomial(2)),
        (jax.nn.leaky_relu, activations.leaky_relu(0.01)),
        (activations.sign, activations.sign),
    ],
)
def test_known_functions_come_back_as_members(function, member):
    assert activations.from_function(function) == member
    x = jnp.linspace(-2, 2, 5)
    np.testing.assert_allclose(member(x), function(x), atol=1e-15)


def test_an_approximation_is_not_the_member_it_approximates():
    assert isinstance(activations.from_function(jax.nn.gelu), activations.Quadrature)  # the form with tanh


def smooth(x):
    return jax.scipy.special.erf(x)  # a function of its own, which `from_function` does not recognise


def kinked(x):
    return jnp.maximum(x, 0)


def readings(own, pair):
    return own.propagate(pair), own.derivative(pair)


def williams() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E erf(u)erf(v), E erf'(u)erf'(v) and √(E erf(u)² E erf(v)²) − E erf(u)erf(v), of the pairs."""
    left, right = (2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)) for q in (LEFT, RIGHT))
    own, q12 = (1 + 2 * LEFT) * (1 + 2 * RIGHT), np.sqrt(LEFT * RIGHT) * np.cos(THETA)
    cross = 2 / np.pi * np.arcsin(2 * q12 / np.sqrt(own))
    return cross, 4 / np.pi / np.sqrt(own - 4 * q12**2), np.sqrt(left * right) - cross


def test_quadrature_of_a_smooth_function_meets_the_closed_form(dtype):
    after, slope = jax.tree.map(np.asarray, jax.jit(readings)(activations.from_function(smooth), pairs(dtype)))
    assert slope.dtype == dtype
    assert after.below.dtype == dtype
    cross, derivative, below = williams()
    atol = 1e-12 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(after.cross, cross, rtol=0, atol=atol)
    np.testing.assert_allclose(slope, derivative, rtol=0, atol=2 * atol)
    # What a kernel many layers deep feeds on: `below` keeps its relative digits where u and v nearly agree, θ = 1e-3.
    np.testing.assert_allclose(after.below[:, 2], below[:, 2], rtol=1e-8 if dtype == np.float64 else 1e-3)


def test_quadrature_of_a_kink_is_as_close_as_documented():
    pair, terms = pairs("float64"), 32
    after, slope = jax.tree.map(np.asarray, jax.jit(readings)(activations.from_function(kinked, terms=terms), pair))
    size = np.sqrt(LEFT * RIGHT)
    exact = size * (np.sin(THETA) + (np.pi - THETA) * np.cos(THETA)) / (2 * np.pi)
    error = np.abs(after.cross - exact) / (size / 2)
    assert terms**-1.5 / 200 < error.max() < terms**-1.5 / 50  # near u = v the remainder is all there is
    assert error[:, [0, 5, 7]].max() < 1e-13  # θ = 0, π/2 and π
    # Its derivative jumps, which leaves terms^{−1/2}/5 near u = v and little elsewhere.
    error = np.abs(slope - (np.pi - THETA) / (2 * np.pi))
    assert error.max() < terms**-0.5 / 5
    assert error[:, 4:6].max() < 1e-6


def test_breaks_matter_for_a_jump_elsewhere():
    at = 0.3127
    exact = float(scipy.stats.norm.sf(at))

    def function(x):
        return jnp.where(x > at, 1.0, 0.0)

    assert activations.from_function(function, breaks=(at,)).moments()[0] == pytest.approx(exact, rel=1e-13)
    assert abs(activations.from_function(function).moments()[0] - exact) > 1e-6


@pytest.mark.parametrize("bad", [3, "relu", None])
def test_what_is_no_function_raises(bad):
    with pytest.raises(TypeError, match="activation"):
        activations.from_function(bad)


def test_what_cannot_be_hashed_is_named():
    class Unhashable:
        __hash__ = None

        def __call__(self, x):
            return jnp.tanh(x)

    with pytest.raises(TypeError, match=r"an activation must be hashable.*Unhashable objects are not"):
        activations.from_function(Unhashable())


def test_bad_settings_raise():
    with pytest.raises(ValueError, match="terms"):
        activations.from_function(jnp.tanh, terms=1)
    with pytest.raises(TypeError, match="terms"):
        activations.from_function(jnp.tanh, terms=2.5)
    with pytest.raises(TypeError, match="slope"):
        activations.leaky_relu("steep")
    with pytest.raises(ValueError, match="slope"):
        activations.leaky_relu(np.nan)

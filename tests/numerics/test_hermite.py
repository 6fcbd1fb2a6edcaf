"""Hermite functions and quadrature against the normal law, in exact and 50-digit arithmetic."""

import math

import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from rfjax.numerics import gaussian_quadrature, hermite, hermite_functions


def test_polynomials_are_orthonormal():
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    values = np.stack([hermite(k, jnp.asarray(nodes)) for k in range(13)])
    np.testing.assert_allclose((values * weights) @ values.T, np.eye(13), atol=1e-12)
    # Orthonormal polynomials are unique up to sign: the leading coefficient is positive.
    assert (values[:, -1] > 0).all()


def test_polynomials_are_scaled_probabilists_hermite(dtype):
    x = np.linspace(-3, 3, 7)
    for k in (0, 1, 2, 5, 10):
        exact = np.polynomial.hermite_e.hermeval(x, [0] * k + [1]) / math.sqrt(math.factorial(k))
        computed = hermite(k, jnp.asarray(x, dtype))
        assert computed.dtype == dtype
        np.testing.assert_allclose(computed, exact, rtol=0, atol=100 * np.finfo(dtype).eps * (1 + np.abs(exact).max()))


def test_functions_at_degree_2000():
    x = [0.0, 0.3, -1.0, 2.5, 8.0, -13.0, 30.0]
    computed = hermite_functions(2000, np.array(x))
    assert computed.shape == (2001, len(x))
    with mp.workdps(60):
        for column, value in enumerate(map(mp.mpf, x)):
            previous, current = mp.mpf(1), value  # plain He_k, divided by √k! at the end
            checked = {1: current}
            for k in range(1, 2000):
                previous, current = current, value * current - k * previous
                checked[k + 1] = current
            for k in (1, 2, 17, 500, 1999, 2000):
                exact = checked[k] / mp.sqrt(mp.factorial(k)) * mp.exp(-(value**2) / 4)
                assert abs(computed[k, column] - float(exact)) < 2e-14, (k, x[column])
    assert hermite_functions(0, np.array(x)).shape == (1, len(x))
    np.testing.assert_allclose(hermite_functions(0, np.array(x))[0], np.exp(-(np.array(x) ** 2) / 4))


@pytest.mark.parametrize("x", [60.0, -80.3])
def test_functions_where_the_gaussian_underflows(x):
    computed = hermite_functions(2000, np.array([x, 1.0, x]))
    np.testing.assert_array_equal(computed[:, 2], computed[:, 0])
    np.testing.assert_array_equal(computed[:, 1], hermite_functions(2000, np.array([1.0]))[:, 0])
    np.testing.assert_allclose(hermite_functions(2000, x), computed[:, 0], rtol=1e-13, atol=1e-15)
    with mp.workdps(80):
        previous, current = mp.mpf(0), mp.exp(-(mp.mpf(x) ** 2) / 4)
        for k in range(2001):
            exact = float(current)
            assert abs(computed[k, 0] - exact) <= min(2e-14, 1e-12 * abs(exact) + 1e-14 * (k > x * x / 4)) + 1e-320, k
            previous, current = current, (mp.mpf(x) * current - mp.sqrt(k) * previous) / mp.sqrt(k + 1)


def test_functions_far_beyond_any_range_are_zero():
    assert not hermite_functions(50, np.array([1e9, -np.inf])).any()


def test_quadrature_is_exact_for_smooth_functions():
    z, w = gaussian_quadrature()
    assert w.min() > 0
    for k in (0, 2, 4, 10, 20):
        assert math.isclose(w @ z**k, math.prod(range(1, k, 2)), rel_tol=1e-13)
        assert abs(w @ z ** (k + 1)) < 1e-13 * math.prod(range(1, k + 2, 2))
    assert math.isclose(w @ np.exp(1.5 * z), math.exp(1.125), rel_tol=1e-13)
    assert math.isclose(w @ np.cos(3 * z), math.exp(-4.5), rel_tol=1e-11)
    assert math.isclose(w @ np.exp(z**2 / 8), (3 / 4) ** -0.5, rel_tol=1e-13)


def test_quadrature_takes_kinks_and_jumps_at_breaks():
    at = 0.3127
    tail = math.erfc(at / math.sqrt(2)) / 2
    bump = math.exp(-(at**2) / 2) / math.sqrt(2 * math.pi)
    z, w = gaussian_quadrature(breaks=(at,))
    assert math.isclose(w @ (z > at), tail, rel_tol=1e-13)
    assert math.isclose(w @ np.maximum(z - at, 0), bump - at * tail, rel_tol=1e-13)
    coarse_z, coarse_w = gaussian_quadrature()
    assert abs(coarse_w @ (coarse_z > at) - tail) > 1e-6  # without the break the jump does cost accuracy
    np.testing.assert_array_equal(gaussian_quadrature(breaks=(40.0,))[0], coarse_z)  # out of reach: no effect

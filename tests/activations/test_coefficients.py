"""Hermite coefficients and moments, against quadrature written here, 50-digit arithmetic and Parseval's identity."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from rfjax import activations

CASES = [(1.0, 0.0), (0.7, -1.3), (3.0, 2.0)]


def quadrature(scale: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and normal weights on [−16, 16] in short panels, one of which ends where scale·z + shift = 0."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.sort(np.append(np.linspace(-16, 16, 321), -shift / scale))
    centre, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    z = (centre[:, None] + half[:, None] * nodes).ravel()
    return z, (half[:, None] * weights).ravel() * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def test_coefficients_and_moments(name, functions):
    own, plain = functions[name]
    for scale, shift in CASES:
        z, w = quadrature(scale, shift)
        values = plain(scale * z + shift)
        exact = [
            w @ (values * np.polynomial.hermite_e.hermeval(z, [0] * k + [1])) / math.sqrt(math.factorial(k))
            for k in range(31)
        ]
        size = math.sqrt(w @ values**2)
        computed = own.hermite_coefficients(30, scale=scale, shift=shift)
        assert computed.shape == (31,)
        assert computed.dtype == np.float64
        np.testing.assert_allclose(computed, exact, rtol=0, atol=1e-13 * size)
        np.testing.assert_allclose(
            own.moments(scale=scale, shift=shift), (w @ values, w @ values**2), rtol=1e-13, atol=1e-15
        )


@pytest.mark.parametrize(
    ("unit", "rest"),
    # E of the square of what is left beyond degree 2000: a_k² ~ k^{-5/2} for a kink, k^{-3/2} for a jump.
    [
        ("relu", 1e-5),
        ("abs", 1e-5),
        ("identity", 1e-14),
        ("step", 2e-2),
        ("sign", 5e-2),
        ("erf", 1e-13),
        ("tanh by quadrature", 1e-13),
    ],
)
def test_parseval(unit, rest, functions):
    own, plain = functions[unit]
    z, w = quadrature(0.7, -1.3)
    square = w @ plain(0.7 * z - 1.3) ** 2
    energy = np.sum(own.hermite_coefficients(2000, scale=0.7, shift=-1.3) ** 2)
    assert energy <= square * (1 + 1e-13)
    assert energy >= square - rest


def test_the_tail_of_a_kink_and_a_jump_is_all_that_parseval_misses():
    # Unbiased: the energy beyond degree n is 1/(3π√(π/2))·n^{−3/2}-like for a kink, and n^{−1/2} for a jump, from
    # a_k² = (2/π)^{3/2}·k^{−5/2}/4 (even k) and (2/π)^{3/2}·k^{−3/2}/4 (odd k), by Stirling.
    for own, power, square in ((activations.relu, 2.5, 0.5), (activations.step, 1.5, 0.5)):
        a = own.hermite_coefficients(2000)
        missing = square - np.sum(a**2)
        tail = (2 / np.pi) ** 1.5 / 8 * 2000 ** (1 - power) / (power - 1)
        assert missing == pytest.approx(tail, rel=5e-3)


def test_degree_2000_of_biased_relu_and_step():
    scale, shift = 1.7, -1.1
    beta = mp.mpf(shift) / mp.mpf(scale)
    relu = activations.relu.hermite_coefficients(2000, scale=scale, shift=shift)
    step = activations.step.hermite_coefficients(2000, scale=scale, shift=shift)
    with mp.workdps(60):
        # ∫_a^∞ He_k φ = He_{k−1}(a)φ(a) and z·He_k = He_{k+1} + k·He_{k−1}, in plain, unnormalised He at a = −β.
        at = -beta
        he = [mp.mpf(1), at]
        for k in range(1, 2002):
            he.append(at * he[k] - k * he[k - 1])
        density = mp.npdf(at)
        for k in (2, 3, 40, 501, 1999, 2000):
            root = mp.sqrt(mp.factorial(k))
            jump = he[k - 1] * density
            kink = (he[k] + k * he[k - 2]) * density + beta * jump
            assert abs(step[k] - float(jump / root)) < 1e-14
            assert abs(relu[k] - float(scale * kink / root)) < 1e-14
        assert abs(step[0] - float(mp.ncdf(beta))) < 1e-15
    # And by quadrature, with this test's own normalised recursion.
    z, w = quadrature(scale, shift)
    previous, current = np.zeros_like(z), np.exp(-(z**2) / 4)
    for k in range(2000):
        previous, current = current, (z * current - math.sqrt(k) * previous) / math.sqrt(k + 1)
    lifted = w * np.exp(z**2 / 4) * current
    assert abs(step[2000] - lifted @ (scale * z + shift > 0)) < 1e-13
    assert abs(relu[2000] - lifted @ np.maximum(scale * z + shift, 0)) < 1e-13


def test_erf_at_degree_2000_is_a_damped_step():
    # d/db E erf(sz+b)h_k = coefficients of a Gaussian: |a_k| <= ρ^k with ρ² = s²/(s² + 1/2).
    a = activations.erf.hermite_coefficients(2000, scale=30.0)
    rho = 30 / math.hypot(30, math.sqrt(0.5))
    odd = np.arange(1, 2001, 2)
    exact = 2 * rho**odd * np.exp(
        scipy.special.gammaln(odd) / 2 - scipy.special.gammaln((odd + 1) / 2) - (odd - 1) / 2 * math.log(2)
    ) / np.sqrt(2 * np.pi * odd)  # fmt: skip
    np.testing.assert_allclose(np.abs(a[1::2]), exact, rtol=1e-11)
    np.testing.assert_allclose(a[::2], 0, atol=1e-15)


@pytest.mark.parametrize("shift", [-90.0, -45.0, -18.3, -7.0, -1e-3, 0.0, 0.4, 60.0])
def test_moments_of_piecewise_functions_in_the_tails(shift):
    scale = 1.5
    with mp.workdps(700):
        b, unit = mp.mpf(shift) / scale, mp.mpf(scale)
        density, above = mp.exp(-(b**2) / 2) / mp.sqrt(2 * mp.pi), mp.erfc(-b / mp.sqrt(2)) / 2
        first, second = unit * (density + b * above), unit**2 * ((1 + b**2) * above + b * density)
        square = unit**2 * (1 + b**2) - second
        slope = mp.mpf(0.1)
        expected = {
            activations.relu: (first, second),
            activations.leaky_relu(0.1): (first + slope * (shift - first), second + slope**2 * square),
            activations.identity: (mp.mpf(shift), second + square),
            activations.step: (above, above),
        }
        for own, exact in expected.items():
            np.testing.assert_allclose(own.moments(scale=scale, shift=shift), [float(v) for v in exact], rtol=3e-13)
        mean = float(activations.relu.hermite_coefficients(0, scale=scale, shift=shift)[0])
        assert mean == pytest.approx(float(first), rel=3e-13, abs=0)


def test_moments_in_closed_form():
    scale, shift = 1.3, -0.8
    beta = shift / scale
    cdf, bump = scipy.special.ndtr(beta), math.exp(-(beta**2) / 2) / math.sqrt(2 * math.pi)
    assert activations.relu.moments(scale=scale, shift=shift) == pytest.approx(
        (scale * (beta * cdf + bump), scale**2 * ((1 + beta**2) * cdf + beta * bump)), rel=1e-13
    )
    assert activations.step.moments(scale=scale, shift=shift) == pytest.approx((cdf, cdf), rel=1e-13)
    mean, square = activations.erf.moments(scale=scale, shift=shift)
    assert mean == pytest.approx(math.erf(shift / math.sqrt(1 + 2 * scale**2)), rel=1e-13)
    exact, _ = scipy.integrate.quad(
        lambda z: math.erf(scale * z + shift) ** 2 * math.exp(-(z**2) / 2), -14, 14, epsrel=1e-13
    )
    assert square == pytest.approx(exact / math.sqrt(2 * math.pi), rel=1e-12)


def test_a_steep_function_is_resolved():
    # tanh(200 z) changes within 1/200 of a standard deviation; its second moment is 1 − E sech², and E sech²(sz) → 2φ(0)/s.
    mean, square = activations.from_function(jnp.tanh).moments(scale=200.0, shift=0.0)
    assert abs(mean) < 1e-14
    exact, _ = scipy.integrate.quad(
        lambda z: math.exp(-(z**2) / 2) / math.cosh(200 * z) ** 2, -0.2, 0.2, points=[0], epsrel=1e-13
    )
    assert 1 - square == pytest.approx(exact / math.sqrt(2 * math.pi), rel=1e-11)


def test_zero_scale_is_a_constant():
    np.testing.assert_array_equal(activations.relu.hermite_coefficients(3, scale=0.0, shift=2.0), [2, 0, 0, 0])
    assert activations.relu.moments(scale=0.0, shift=2.0) == pytest.approx((2.0, 4.0), rel=1e-13)


def test_bad_arguments():
    for own in (activations.relu, activations.from_function(jnp.tanh)):
        with pytest.raises(ValueError, match="degree"):
            own.hermite_coefficients(-1)
        with pytest.raises(TypeError, match="degree"):
            own.hermite_coefficients(2.0)
        with pytest.raises(ValueError, match="scale"):
            own.hermite_coefficients(2, scale=-1.0)
        with pytest.raises(ValueError, match="scale"):
            own.moments(scale=np.inf)
        with pytest.raises(ValueError, match="shift"):
            own.moments(shift=np.nan)
    with pytest.raises(ValueError, match="finite"):
        activations.from_function(jnp.log).moments()


def test_they_are_in_float64_whatever_jax_is_set_to():
    wide = activations.tanh.hermite_coefficients(31, scale=1.5)
    seen = []

    @jax.jit
    def compiled(x):
        seen.append(activations.tanh.hermite_coefficients(31, scale=1.5))
        return x * seen[-1][1]

    with jax.enable_x64(False):
        single = activations.tanh.hermite_coefficients(31, scale=1.5)
        assert compiled(jnp.ones(2)).dtype == jnp.float32
    for other in (single, *seen):
        np.testing.assert_allclose(other, wide, rtol=1e-12, atol=1e-15)
    assert len(seen) == 1

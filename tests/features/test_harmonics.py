"""Spherical harmonics against SciPy's Gegenbauer polynomials."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_gegenbauer

from rfjax.features.harmonics import by_degree, counts, harmonics, steps

RNG = np.random.default_rng(0)


def zonal(m, d, c):
    """P_m(c)."""
    if d == 1:
        return c**m
    if d == 2:
        return np.cos(m * np.arccos(np.clip(c, -1, 1)))
    return eval_gegenbauer(m, d / 2 - 1, c) / eval_gegenbauer(m, d / 2 - 1, 1.0)


@pytest.mark.parametrize(("d", "degree"), [(1, 1), (2, 3), (4, 4), (7, 2)])
def test_the_addition_theorem(d, degree):
    U = RNG.normal(size=(20, d))
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    for m, Y in enumerate(jax.jit(harmonics, static_argnums=1)(jnp.asarray(U), degree)):
        assert Y.shape == (20, counts(d, degree)[m])
        np.testing.assert_allclose(Y @ Y.T, counts(d, degree)[m] * zonal(m, d, U @ U.T), rtol=0, atol=1e-11)


@pytest.mark.parametrize("d", [2, 3, 10])
def test_the_recursion_of_orthonormal_polynomials(d):
    a, t = steps(d, 6), np.linspace(-0.9, 0.9, 7)
    p = [np.sqrt(counts(d, 6)[m]) * zonal(m, d, t) for m in range(7)]
    for m in range(1, 6):
        np.testing.assert_allclose(t * p[m], a[m] * p[m + 1] + a[m - 1] * p[m - 1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_powers_spread_over_degrees(d):
    powers, c = RNG.uniform(size=(8, 1, 1)), np.array([-1.0, 1.0]) if d == 1 else np.linspace(-1, 1, 9)
    B = by_degree(powers, d, 7)[:, 0, 0]
    value = sum(b * zonal(m, d, c) for m, b in enumerate(B))
    np.testing.assert_allclose(value, np.polyval(powers[::-1, 0, 0], c), rtol=1e-12)
    cut = by_degree(powers, d, 3)[:, 0, 0]
    assert cut[::2].sum() == pytest.approx(B[::2].sum())
    assert cut[1::2].sum() == pytest.approx(B[1::2].sum())

"""Multiplicities and the spread of powers over degrees, against exact integers, rational arithmetic and mpmath."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import eval_gegenbauer

from rfjax.theory import harmonics
from rfjax.theory.harmonics import log_largest_share, multiplicities, power_energies


def dimension(d: int, m: int) -> int:
    """Homogeneous polynomials of degree m, less those that are |x|² times one of degree m − 2."""
    return math.comb(m + d - 1, d - 1) - (math.comb(m + d - 3, d - 1) if m >= 2 else 0)


def share(k: int, m: int, d: int) -> mpmath.mpf:
    """p_k(m) in 60 digits."""
    if m > k or (k - m) % 2:
        return mpmath.mpf(0)
    with mpmath.workdps(60):
        value = mpmath.factorial(k) * mpmath.gamma(mpmath.mpf(d) / 2) * dimension(d, m)
        return value / (mpmath.mpf(2) ** k * mpmath.factorial((k - m) // 2) * mpmath.gamma(mpmath.mpf(k + m + d) / 2))


@pytest.mark.parametrize("d", [1, 2, 3, 4, 10, 57, 1000])
def test_multiplicities_are_exact_integers(d):
    count, log = multiplicities(d, 60)
    for m in range(61):
        exact = dimension(d, m)
        if exact < 1e12:
            assert count[m] == exact
        else:
            assert float(mpmath.mpf(exact) / count[m]) == pytest.approx(1, rel=1e-12)
        assert log[m] == (pytest.approx(math.log(exact), rel=1e-14, abs=1e-14) if exact else -math.inf)


@pytest.mark.parametrize("d", [3, 1000, 10_000])
def test_log_multiplicities_go_on_where_float64_ends(d):
    count, log = multiplicities(d, 20_000)
    for m in (400, 2000, 20_000):
        assert log[m] == pytest.approx(math.log(dimension(d, m)), rel=1e-13)
        assert math.isinf(count[m]) == (log[m] > math.log(np.finfo(float).max))


def chain(k: int, d: int) -> list[Fraction]:
    """The law of the birth–death chain after k steps, in rational arithmetic."""
    law = {0: Fraction(1)}
    for _ in range(k):
        new: dict[int, Fraction] = {}
        for m, p in law.items():
            up = Fraction(1) if m == 0 else Fraction(m + d - 2, 2 * m + d - 2)
            new[m + 1] = new.get(m + 1, Fraction(0)) + p * up
            if m:
                new[m - 1] = new.get(m - 1, Fraction(0)) + p * (1 - up)
        law = new
    return [law.get(m, Fraction(0)) for m in range(k + 1)]


@pytest.mark.parametrize("d", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("k", [0, 1, 2, 9, 24])
def test_the_law_of_one_power_is_the_chain_and_the_closed_form(d, k):
    weights = np.zeros(k + 1)
    weights[k] = 1.0
    law = power_energies(weights, d)
    np.testing.assert_allclose(law, [float(p) for p in chain(k, d)], rtol=1e-14, atol=0)
    closed = [float(share(k, m, d)) for m in range(k + 1)]
    np.testing.assert_allclose(law, closed, rtol=1e-14, atol=0)


@pytest.mark.parametrize("d", [2, 3, 8])
def test_powers_are_sums_of_gegenbauer_polynomials(d):
    t = np.linspace(-1, 1, 21)
    for k in (0, 1, 5, 12):
        weights = np.zeros(k + 1)
        weights[k] = 1.0
        law = power_energies(weights, d)
        if d == 2:
            basis = [np.cos(m * np.arccos(t)) for m in range(k + 1)]
        else:
            basis = [eval_gegenbauer(m, d / 2 - 1, t) / eval_gegenbauer(m, d / 2 - 1, 1.0) for m in range(k + 1)]
        np.testing.assert_allclose(law @ basis, t**k, atol=1e-14)


@pytest.mark.parametrize("d", [1, 2, 3, 30, 1000])
def test_far_powers_in_blocks_equal_the_closed_form(d):
    rng = np.random.default_rng(d)
    powers = np.array([700, 1501, 2222, 2900])
    weights = np.zeros(3001)
    weights[powers] = rng.uniform(0.5, 2, 4)
    energy = power_energies(weights, d)
    modes = [int((math.sqrt((d - 2) ** 2 + 4 * k * (d - 1)) - (d - 2)) / 2) for k in powers]
    for m in {0, 1, 2, *modes, *(mode + 9 for mode in modes)}:
        if m < len(energy) and (d > 1 or m < 2):
            exact = sum(w * float(share(int(k), m, d)) for k, w in zip(powers, weights[powers], strict=True))
            assert energy[m] == pytest.approx(exact, rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("d", [1, 2, 5, 100, 10_000])
def test_far_powers_in_blocks_equal_the_chain(d, monkeypatch):
    k = np.arange(3501.0)
    # What a jump gives: a slow wave in each parity.
    weights = (1 + k) ** -1.5 * (1 + np.cos(2 * np.sqrt(k) + np.pi * k))
    blocks = power_energies(weights, d)
    monkeypatch.setattr(harmonics, "_EXACT", len(k))
    exact = power_energies(weights, d)
    np.testing.assert_allclose(blocks, exact[: len(blocks)], rtol=1e-9, atol=1e-13)
    assert exact[len(blocks) :].sum() < 1e-40
    assert blocks.sum() == pytest.approx(weights.sum(), rel=1e-13)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.lists(st.floats(0, 1e3), min_size=1, max_size=40))
def test_energy_is_positive_and_conserved(d, weights):
    energy = power_energies(np.array(weights), d)
    assert (energy >= 0).all()
    assert energy.sum() == pytest.approx(sum(weights), rel=1e-13, abs=1e-300)
    assert energy[::2].sum() == pytest.approx(sum(weights[::2]), rel=1e-13, abs=1e-300)  # parity is kept


@pytest.mark.parametrize("d", [1, 2, 3, 20])
@pytest.mark.parametrize("beyond", [0, 5, 40])
def test_the_largest_share_is_found_and_decreases(d, beyond):
    top = 1 if d == 1 else 12
    found = log_largest_share(beyond, top, d)
    for m in range(top + 1):
        candidates = [k for k in range(beyond + 1, 400) if k >= m and (k - m) % 2 == 0]
        best = max(share(k, m, d) / dimension(d, m) for k in candidates)
        assert found[m] == pytest.approx(float(mpmath.log(best)), abs=1e-12)
    assert (np.diff(found) <= 1e-12).all()

"""Sums over repeated values, against the values written out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfjax.theory.staircase import Staircase, parse_counts

steps = st.lists(st.tuples(st.floats(1e-6, 10), st.integers(1, 30)), min_size=1, max_size=12)


def build(pairs):
    pairs = sorted(pairs, reverse=True)
    value, count = np.array([p[0] for p in pairs]), np.array([float(p[1]) for p in pairs])
    stairs = Staircase(np.arange(len(pairs)), value * count, count, np.log(count))
    return stairs, np.repeat(value, count.astype(int))


@settings(deadline=None, max_examples=100)
@given(steps)
def test_sums_match_the_values_written_out(pairs):
    stairs, values = build(pairs)
    r = np.arange(len(values) + 1)
    rest = np.append(np.cumsum(values[::-1])[::-1], 0.0)
    np.testing.assert_allclose(stairs.rest(parse_counts("r", r)), rest, rtol=1e-12, atol=1e-12 * rest[0])
    first = stairs.first(parse_counts("r", r[:-1]))
    np.testing.assert_allclose(first, rest[0] - rest[:-1], rtol=1e-12, atol=1e-12 * rest[0])
    assert stairs.first(parse_counts("r", len(values) + 1)) == math.inf
    assert stairs.rest(parse_counts("r", len(values) + 1)) == 0


@settings(deadline=None, max_examples=100)
@given(steps, st.floats(0, 1.2))
def test_least_is_the_first_that_suffices(pairs, part):
    stairs, values = build(pairs)
    rest = np.append(np.cumsum(values[::-1])[::-1], 0.0)
    for target in (part * rest[0], rest[len(values) // 2]):  # the second is met exactly
        landing = stairs.least(target)
        assert landing.value == np.argmax(rest <= target * (1 + 1e-13) + 1e-14 * rest[0])
        assert landing.log == (math.log(landing.value) if landing.value else -math.inf)


def test_beyond_float64_logarithms_go_on():
    logs = np.array([0.0, 900.0, 2000.0])  # 1, e^900 and e^2000 values
    stairs = Staircase(np.array([7, 8, 9]), np.array([1.0, 2.0, 4.0]), np.array([1.0, np.inf, np.inf]), logs)
    half = stairs.least(2.0)  # half of the last step
    assert (half.value, half.label) == (math.inf, 9)
    assert half.log == pytest.approx(2000 - math.log(2), abs=1e-12)
    r = int(math.exp(1) ** 100) ** 9  # about e^900
    assert float(stairs.rest(parse_counts("r", r))) == pytest.approx(6 - 2 * math.exp(math.log(r) - 900), abs=1e-9)
    assert float(stairs.rest(parse_counts("r", 10**400))) == pytest.approx(4.0)
    assert float(stairs.rest(parse_counts("r", 10**900))) == 0
    assert stairs.least(-1e-300).value == math.inf


def test_counts_keep_their_shape():
    counts = parse_counts("r", [[0, 1.5], [2, 1e30]])
    assert counts.value.shape == counts.log.shape == (2, 2)
    big = parse_counts("r", [10**400, 3, 0])
    np.testing.assert_allclose(big.value, [math.inf, 3, 0], rtol=1e-15)
    assert big.log[0] == pytest.approx(400 * math.log(10), rel=1e-15)


@pytest.mark.parametrize("r", [-1, -0.5, math.nan, math.inf, [1, math.nan], np.array([3, -2]), -(10**400)])
def test_bad_counts_are_refused_by_value(r):
    with pytest.raises(ValueError, match="r must be a finite number >= 0"):
        parse_counts("r", r)


@pytest.mark.parametrize("r", ["3", None, True, [True], 1j, [10**400, None], [10**400, 1.5]])
def test_bad_counts_are_refused_by_type(r):
    with pytest.raises(TypeError, match="r must be real numbers"):
        parse_counts("r", r)

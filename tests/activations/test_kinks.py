"""The tails of Hermite series of kinks at 0, against the sums themselves."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from rfjax.activations.kinks import kinks_of
from rfjax.numerics import Covariance

MANY = 40_000
THETA = np.array([0.05, 0.2, 1.0, np.pi / 2, 2.5, np.pi - 0.05])
LEFT, RIGHT = 1.3, 0.4


def powers(order: int) -> np.ndarray:
    """E z₊^p/p!·h_k(z), k < MANY, by r_pk = r_{p−1,k−1}/√k from those of the step: h_{k−1}(0)φ(0)/√k."""
    k = np.arange(1, MANY)
    half = (k - 1) // 2  # |h_{2j}(0)| = √((2j)!)/(2^j j!)
    size = np.exp(scipy.special.gammaln(2 * half + 1) / 2 - half * np.log(2) - scipy.special.gammaln(half + 1))
    r = np.concatenate([[0.5], np.where(k % 2 == 1, (-1.0) ** half * size, 0) / np.sqrt(2 * np.pi * k)])
    for p in range(1, order + 1):
        mean = scipy.special.gamma((p + 1) / 2) * 2 ** (p / 2 - 1) / np.sqrt(np.pi) / scipy.special.factorial(p)
        r = np.concatenate([[mean], r[:-1] / np.sqrt(k)])
    return r


@pytest.mark.parametrize("terms", [2, 5, 128, 500])
@pytest.mark.parametrize("jumps", [{0: 1.0}, {1: 0.7, 2: -1.1, 3: 0.4}, {0: -0.7, 1: 1.1, 2: 0.4}])
def test_tails_are_their_sums(jumps, terms):
    size = np.sqrt(LEFT * RIGHT)
    pair = Covariance(*map(jnp.asarray, (LEFT, RIGHT, size * (1 - np.cos(THETA)), size * (1 + np.cos(THETA)))))
    a, b = ({p: jump * q ** (p / 2) * powers(p)[terms + 1 :] for p, jump in jumps.items()} for q in (LEFT, RIGHT))
    weights = sum(a[p] * b[q] for p in jumps for q in jumps if (p - q) % 2 == 0 and p + q <= 4)
    cross = np.cos(THETA)[:, None] ** np.arange(terms + 1, MANY) @ weights
    found = kinks_of(jumps)
    np.testing.assert_allclose(found.cross(pair, terms), cross, rtol=0, atol=4e-12)
    coincident = Covariance(*map(jnp.asarray, (LEFT, RIGHT, 0.0, 2 * size)))
    below = np.asarray(found.cross(coincident, terms)) - cross
    np.testing.assert_allclose(found.below(pair, terms), below, rtol=0, atol=4e-12)

"""Parities on {±1}^d: how many there are of each degree, and how powers of a cosine spread over them.

With c = ⟨x, y⟩/d and κ_m the Krawtchouk polynomial, κ_m(c = 1) = 1, the mean of all parities of m coordinates,

    c^k = Σ_m C(d, m) e(k, m, d) κ_m(c)
    e(k+1, m) = (m/d)·e(k, m−1) + ((d−m)/d)·e(k, m+1),   e(0, m) = [m = 0]

e(k, m, d) is the probability that k coordinates drawn with replacement leave a given set of m of them with odd counts.
O'Donnell 2014, *Analysis of Boolean functions*.  Host NumPy in float64.
"""

import numpy as np
import scipy
from jaxtyping import Float


def parities(d: int, degree: int) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """C(d, m) and its logarithm for m = 0…degree; inf past float64."""
    m = np.arange(degree + 1, dtype=np.float64)
    logs = scipy.special.gammaln(d + 1) - scipy.special.gammaln(m + 1) - scipy.special.gammaln(d - m + 1)
    with np.errstate(over="ignore"):
        counts = np.exp(logs)
        small = np.cumprod(np.concatenate([[1.0], (d - m[:-1]) / m[1:]]))
    counts = np.where(counts < 2**50, np.rint(small), counts)
    return counts, np.where(counts < 2**50, np.log(counts), logs)


def log_parity_shares(powers: int, degree: int, d: int) -> Float[np.ndarray, "k m"]:
    """ln e(k, m, d) for k = 0…powers and m = 0…degree; −inf where it is 0."""
    top = min(d, powers)
    m = np.arange(top + 1)
    with np.errstate(divide="ignore"):
        up, down = np.log(m / d), np.log((d - m) / d)
    law = np.full(top + 3, -np.inf)  # e(k, −1…top + 1)
    law[1] = 0.0
    rows = np.full((powers + 1, degree + 1), -np.inf)
    shown = min(degree, top) + 1
    for k in range(powers + 1):
        rows[k, :shown] = law[1 : shown + 1]
        law[1:-1] = np.logaddexp(up + law[:-2], down + law[2:])
    return rows


def krawtchouk(degree: int, cosines: Float[np.ndarray, " q"], d: int) -> Float[np.ndarray, "m q"]:
    """κ_m(c) for m = 0…degree at c = 1 − 2j/d: (d−m)κ_{m+1} = d·c·κ_m − m·κ_{m−1}."""
    j = np.rint((1 - cosines) * d / 2)
    values = np.empty((degree + 1, len(j)))
    half = min(degree, (d + 1) // 2)
    previous, current = np.zeros_like(cosines), np.ones_like(cosines)
    for m in range(half + 1):
        values[m] = current
        previous, current = current, ((d - 2 * j) * current - m * previous) / max(d - m, 1)
    for m in range(half + 1, degree + 1):  # the recursion forgets beyond the middle, where κ is its mirror image
        values[m] = (-1) ** j * values[d - m]
    return values

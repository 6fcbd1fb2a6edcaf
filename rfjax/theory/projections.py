"""A kernel between points of given norms on each spherical degree, or on each degree of parity on the cube.

Two ways lead there.  By its power series every eigenvalue is known to its own digits, however small, but for what the
powers left out add; by quadrature in the angle each is known to the digits of the kernel itself, which is enough in few
dimensions, and what a power series leaves out is such a function of the angle too.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rfjax.kernels import Kernel
from rfjax.theory.angles import Norms, angle_values, angle_values_and_error, by_quadrature
from rfjax.theory.domains import Domain
from rfjax.theory.powers import Powers, log_sum, power_series

_ROUNDING = 1e-11  # relative, of an eigenvalue: hundreds of products of series
_UNITS = 4  # of rounding, in a value of a kernel
_EPS = float(np.finfo(np.float64).eps)
_SMALL = 20.0  # −ln of the relative error below which an eigenvalue is not refined
_DECAYING = 0.98  # a series whose terms shrink by this factor or less ends like a geometric one


class Projection(NamedTuple):
    """For every pair of norms and every degree m: sign·e^log = E k(x, y)P_m(cos θ) over angles, and ln of its error.

    `limit` is k(x, y) as y comes to x, at each norm.
    """

    log: Float[np.ndarray, "p m"]
    sign: Float[np.ndarray, "p m"]
    log_error: Float[np.ndarray, "p m"]
    limit: Float[np.ndarray, " q"]

    def best(self, other: "Projection") -> "Projection":
        """Of each degree the one whose largest error is smaller."""
        better = other.log_error.max(axis=0) < self.log_error.max(axis=0)
        log, sign, error = (np.where(better, b, a) for a, b in zip(self[:3], other[:3], strict=True))
        return Projection(log, sign, error, self.limit)


def by_angles(kernel: Kernel, norms: Norms, domain: Domain) -> Projection:
    """By quadrature in the angle alone."""
    angles = domain.angles()
    values, off = angle_values_and_error(kernel, norms, angles.theta)
    each = np.arange(len(norms.norms))
    limit = angle_values(kernel, Norms(norms.norms, each, each, norms.d), np.zeros(1))[:, 0]
    weighted = np.exp(angles.log_weight) * angles.polynomials
    unit = _UNITS * _EPS * _geometric(norms, limit)[:, None]
    return _projection(values @ weighted.T, np.broadcast_to(off + unit, values.shape) @ np.abs(weighted).T, limit)


def few_dimensions(domain: Domain, tolerance: float) -> bool:
    """Whether `by_angles` may know every eigenvalue: they are at most k(x, x)/N, and |P_m| is about N^{−1/2} on average."""
    return math.log(_EPS) + domain.multiplicities()[1].max() / 2 < math.log(tolerance)


def by_powers(kernel: Kernel, norms: Norms, domain: Domain, kept: int) -> Projection:
    """By the power series to degree `kept`, and quadrature of what it leaves out where that matters."""
    powers, shares = power_series(kernel, norms, kept), domain.log_shares(kept)
    log, sign = _on_degrees(powers, shares)
    own = _own(norms)
    left_out = np.array(list(map(_left_out, powers.log[own], powers.values[own].sum(axis=1), powers.limit)))
    left_out = np.sqrt(left_out[norms.left] * left_out[norms.right])  # coefficients are positive semi-definite
    parity = np.arange(domain.degree + 1) % 2
    with np.errstate(divide="ignore"):
        rest = np.log(left_out)[:, parity] + domain.log_beyond(kept)
    found = Projection(log, sign, rest, powers.limit)
    if (rest > log - _SMALL).any():
        found = found.best(_with_the_ends(found, kernel, norms, domain, powers, left_out.max(axis=1)))
    error = np.logaddexp(found.log_error, found.log + math.log(_ROUNDING))
    if by_quadrature(kernel):
        noisy = _on_degrees(power_series(kernel, norms, kept, noise=1.0), shares)
        error = np.logaddexp(error, log_sum(np.stack([noisy[0], log]), np.stack([noisy[1], -sign]))[0])
    return found._replace(log_error=error)


def magnitude(log: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """ln of how large eigenvalues are; of a zero, as every other degree of an odd kernel is, its neighbours'."""
    known, places = np.isfinite(log), np.arange(len(log))
    return np.interp(places, places[known], log[known]) if known.any() else log


def _with_the_ends(
    found: Projection,
    kernel: Kernel,
    norms: Norms,
    domain: Domain,
    powers: Powers,
    left_out: Float[np.ndarray, " p"],
) -> Projection:
    """With what the powers left out add to each eigenvalue: near 0 and π, by quadrature.

    At a cosine c they are at most left_out·|c|^kept: where that is below the rounding of k itself, they count as 0.
    """
    kept = powers.log.shape[1] - 1
    angles = domain.angles()
    unit = _UNITS * _EPS * _geometric(norms, powers.limit)[:, None]
    most = left_out[:, None] * np.abs(np.cos(angles.theta)) ** kept
    seen = (most > unit).any(axis=0)
    rest, off = np.zeros_like(most), np.minimum(most, unit)
    if seen.any():
        values, inexact = angle_values_and_error(kernel, norms, angles.theta[seen])
        rest[:, seen] = values - np.polynomial.polynomial.polyval(np.cos(angles.theta[seen]), powers.values.T)
        off[:, seen] += inexact
    weighted = np.exp(angles.log_weight) * angles.polynomials
    total = found.sign * np.exp(found.log) + rest @ weighted.T
    return _projection(total, off @ np.abs(weighted).T, powers.limit)


def _on_degrees(
    powers: Powers, shares: Float[np.ndarray, "k m"]
) -> tuple[Float[np.ndarray, "p m"], Float[np.ndarray, "p m"]]:
    """Σ_n b_n c(n, m) as logarithm and sign."""
    rows = [log_sum(log[:, None] + shares, sign[:, None]) for log, sign in zip(powers.log, powers.sign, strict=True)]
    log, sign = zip(*rows, strict=True)
    return np.stack(log), np.stack(sign)


def _projection(
    values: Float[np.ndarray, "p m"], error: Float[np.ndarray, "p m"], limit: Float[np.ndarray, " q"]
) -> Projection:
    with np.errstate(divide="ignore"):
        return Projection(np.log(np.abs(values)), np.sign(values), np.log(error), limit)


def _own(norms: Norms) -> Float[np.ndarray, " q"]:
    """The pairs of each norm with itself, in the order of norms."""
    own = np.flatnonzero(norms.left == norms.right)
    return own[np.argsort(norms.left[own])]


def _geometric(norms: Norms, limit: Float[np.ndarray, " q"]) -> Float[np.ndarray, " p"]:
    """√(k(x, x)k(y, y)) of each pair."""
    root = np.sqrt(np.maximum(limit, 0.0))
    return root[norms.left] * root[norms.right]


def _left_out(log: Float[np.ndarray, " n"], kept: float, limit: float) -> Float[np.ndarray, " 2"]:
    """Σ of the coefficients of even and of odd degree that are left out, between points of one norm.

    Together it is k(x, x) less those that are kept.  A parity that has died out has nothing more; and of one that ends
    like a geometric series the rest is known better than by that difference.
    """
    whole = max(limit - kept, 0.0) + _EPS * abs(limit)
    rest = np.empty(2)
    for parity in range(2):
        last = log[parity::2][-8:]
        if np.isneginf(last).all():
            rest[parity] = 0.0
            continue
        with np.errstate(invalid="ignore"):
            ratio = float(np.exp(np.max(np.diff(last[np.isfinite(last)]), initial=-np.inf)))
        slow = (1 + ratio) / 2
        rest[parity] = min(whole, math.exp(last[-1]) * slow / (1 - slow)) if ratio < _DECAYING else whole
    return rest

"""Kernels of norms and angle under the Gaussian: for every degree an operator on functions of the norm."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rfjax.kernels import Kernel
from rfjax.theory.domains import Sphere
from rfjax.theory.harmonics import gauss_rule
from rfjax.theory.powers import Norms, Powers, log_sum, power_series

_NODES = (6, 12, 24)  # of the law of the norm, more until eigenvalues settle
_REACH, _FINE = 13.0, 600  # the law of ‖x‖ is that of a normal variable of variance ½ around √d, or narrower


class Levels(NamedTuple):
    """Eigenvalues by degree and radial function, with ln of a bound on their error, and E k(x, x)."""

    degrees: Int[np.ndarray, " s"]
    log_eigenvalues: Float[np.ndarray, " s"]
    log_error: Float[np.ndarray, " s"]
    trace: float


def radial_levels(kernel: Kernel, domain: Sphere, kept: int, tolerance: float, *, noise: bool) -> Levels:
    """The eigenvalues of K_m(r, s) = Σ_n b_n(r, s) c(n, m, d) under the law of ‖x‖, for every degree m.

    Those that one more refinement of the quadrature moves by more than the tolerance are left to the remainder, but for
    the largest of each degree.
    """
    shares = domain.log_shares(kept)
    coarse = _operators(kernel, domain, _NODES[0], kept, shares)
    for nodes in _NODES[1:]:
        fine = _operators(kernel, domain, nodes, kept, shares)
        moved = _moved(fine.log, coarse.log)
        if (moved[:, 0] <= fine.log[:, 0] + np.log(tolerance / 10)).all():
            break
        coarse = fine
    with np.errstate(divide="ignore"):
        error = np.logaddexp(moved, (np.log(fine.left_out) + domain.log_beyond(kept))[:, None])
        if noise:
            noisy = _operators(kernel, domain, nodes, kept, shares, noise=1.0)
            error = np.logaddexp(error, _moved(noisy.log, fine.log)[:, : error.shape[1]])
    settled = (error <= fine.log[:, : error.shape[1]] + np.log(tolerance)) & np.isfinite(fine.log[:, : error.shape[1]])
    settled[:, 0] |= np.isfinite(fine.log[:, 0])
    degrees, radial = np.nonzero(settled)
    return Levels(degrees, fine.log[degrees, radial], error[degrees, radial], fine.trace)


class _Operators(NamedTuple):
    """ln of the eigenvalues of each degree in descending order, E k(x, x), and what of it no kept power holds."""

    log: Float[np.ndarray, "m q"]
    trace: float
    left_out: float


def _operators(
    kernel: Kernel, domain: Sphere, nodes: int, kept: int, shares: Float[np.ndarray, "k m"], noise: float = 0.0
) -> _Operators:
    norms, weights = norm_quadrature(domain.d, nodes)
    left, right = np.triu_indices(nodes)
    powers = power_series(kernel, Norms(norms, left, right, domain.d), kept, noise)
    log, sign = zip(*(_by_degree(powers, p, shares) for p in range(len(left))), strict=True)
    root = np.sqrt(weights)
    eigenvalues = np.full((domain.degree + 1, nodes), -np.inf)
    for m, (logs, signs) in enumerate(zip(np.transpose(log), np.transpose(sign), strict=True)):
        top = logs.max()
        if np.isfinite(top):
            matrix = np.zeros((nodes, nodes))
            matrix[left, right] = matrix[right, left] = signs * np.exp(logs - top)
            values = np.linalg.eigvalsh(root[:, None] * matrix * root)[::-1]
            positive = values > 1e-13 * values[0]  # what is below is rounding
            eigenvalues[m, positive] = np.log(values[positive]) + top
    own = np.flatnonzero(left == right)
    left_out = np.maximum(powers.limit - powers.values[own].sum(axis=1), 0.0) + 1e-16 * powers.limit
    return _Operators(eigenvalues, float(weights @ powers.limit), float(weights @ left_out))


def _by_degree(powers: Powers, pair: int, shares: Float[np.ndarray, "k m"]) -> tuple[np.ndarray, np.ndarray]:
    return log_sum(powers.log[pair][:, None] + shares, powers.sign[pair][:, None])


def _moved(fine: Float[np.ndarray, "m q"], coarse: Float[np.ndarray, "m p"]) -> Float[np.ndarray, "m p"]:
    """ln |fine − coarse| of the eigenvalues that both have; +inf where one of them is missing."""
    fine = fine[:, : coarse.shape[1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.maximum(fine, coarse) + np.log(-np.expm1(-np.abs(fine - coarse)))
    return np.where(np.isfinite(fine) & np.isfinite(coarse), gap, np.where(np.isfinite(fine), np.inf, -np.inf))


def norm_quadrature(d: int, nodes: int) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Gauss's rule for the law of ‖x‖, x ~ N(0, I_d): exact for polynomials in ‖x‖ of degree 2·nodes − 1."""
    x, w = np.polynomial.legendre.leggauss(_FINE)
    low, high = max(0.0, d**0.5 - _REACH), d**0.5 + _REACH
    r = (low + high) / 2 + (high - low) / 2 * x
    log = np.log(w) + (d - 1) * np.log(r) - r**2 / 2
    weights = np.exp(log - log.max())
    return gauss_rule(r, weights / weights.sum(), nodes)

"""Operators on functions of the norm of a Gaussian vector, as matrices."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rfjax.theory.angles import Norms
from rfjax.theory.harmonics import gauss_rule, jacobi_matrix

_REACH, _FINE = 13.0, 600  # the law of ‖x‖ is that of a normal variable of variance ½ around √d, or narrower
_SEEN, _SIDE = 7.0, 40  # how far from √d a split integral goes, and the nodes on each side of the split


class Rule(NamedTuple):
    """The pairs of norms at which K(r, s) is wanted, and how its values there make a matrix of its eigenvalues."""

    norms: Norms
    nodes: int
    weights: Float[np.ndarray, " n"]
    """Of the law of the norm, at the first `nodes` norms."""
    log_weight: Float[np.ndarray, " p"]
    """ln of what values are multiplied by."""
    times: Float[np.ndarray, " p"]
    """How often each is in the matrix."""
    matrix: Callable[[Float[np.ndarray, " p"]], Float[np.ndarray, "n n"]]
    """The symmetric matrix, from values so weighted."""


class NormLaw:
    """The law of ‖x‖, x ~ N(0, I_d)."""

    def __init__(self, d: int):
        self.d = d
        x, w = np.polynomial.legendre.leggauss(_FINE)
        low, high = max(0.0, d**0.5 - _REACH), d**0.5 + _REACH
        r = (low + high) / 2 + (high - low) / 2 * x
        log = np.log(w * (high - low) / 2) + self._log_density(r)
        self._log_mass = np.logaddexp.reduce(log)
        kept = log - self._log_mass > -600
        self._r, self._weights = r[kept], np.exp(log - self._log_mass)[kept]

    def gauss(self, nodes: int) -> Rule:
        """Gauss's rule, exact for polynomials in ‖x‖ of degree 2·nodes − 1: for smooth K."""
        norms, weights = gauss_rule(self._r, self._weights, nodes)
        left, right = np.triu_indices(len(norms))
        log = np.log(weights)

        def matrix(values: Float[np.ndarray, " p"]) -> Float[np.ndarray, "n n"]:
            full = np.zeros((len(norms), len(norms)))
            full[left, right] = full[right, left] = values
            return full

        times = np.where(left == right, 1.0, 2.0)
        log_weight = (log[left] + log[right]) / 2
        return Rule(Norms(norms, left, right, self.d), len(norms), weights, log_weight, times, matrix)

    def split(self, nodes: int) -> Rule:
        """For K that is smooth on each side of r = s: its eigenfunctions are smooth, and every integral is split there.

            (Kf)(r_i) = ∫ K(r_i, s)f(s) ds,   f(s) = Σ_j f(r_j)·w_j Σ_k p_k(r_j)p_k(s)

        with r_j, w_j Gauss's rule and p_k the orthonormal polynomials of the law.
        """
        jacobi = jacobi_matrix(self._r, self._weights, nodes)
        points, vectors = np.linalg.eigh(jacobi)
        vectors *= np.sign(vectors[0])  # √w_j p_k(r_j), p_0 = 1
        x, w = np.polynomial.legendre.leggauss(_SIDE)
        low = np.minimum(max(0.0, self.d**0.5 - _SEEN), points)
        high = np.maximum(self.d**0.5 + _SEEN, points)
        edges = np.stack([np.stack([low, points]), np.stack([points, high])], axis=1)[..., None]  # [end, side, i, 1]
        s = (edges[0] + edges[1]) / 2 + (edges[1] - edges[0]) / 2 * x
        with np.errstate(divide="ignore"):
            log = np.log((edges[1] - edges[0]) / 2 * w) + self._log_density(s) - self._log_mass
        s, log = (np.moveaxis(v, 0, 1).reshape(nodes, -1) for v in (s, log))
        basis = _polynomials(jacobi, s) @ vectors * np.exp(log / 2)[..., None]
        weights = vectors[0] ** 2
        norms = Norms(
            np.append(points, s),
            np.repeat(np.arange(nodes), s.shape[1]),
            nodes + np.arange(s.size),
            self.d,
        )

        def matrix(values: Float[np.ndarray, " p"]) -> Float[np.ndarray, "n n"]:
            full = np.einsum("iq,iqj->ij", values.reshape(nodes, -1), basis)
            return (full + full.T) / 2

        log_weight = (np.log(weights)[:, None] + log).ravel() / 2
        return Rule(norms, nodes, weights, log_weight, np.ones(s.size), matrix)

    def _log_density(self, r: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """ln of the density, but for its constant."""
        return (self.d - 1) * np.log(r) - r**2 / 2


def _polynomials(jacobi: Float[np.ndarray, "n n"], s: Float[np.ndarray, "..."]) -> Float[np.ndarray, "... n"]:
    """p_0…p_{n−1} by their recurrence."""
    values = np.zeros((*s.shape, len(jacobi)))
    values[..., 0] = 1.0
    for k in range(len(jacobi) - 1):
        below = jacobi[k, k - 1] * values[..., k - 1] if k else 0.0
        values[..., k + 1] = ((s - jacobi[k, k]) * values[..., k] - below) / jacobi[k, k + 1]
    return values

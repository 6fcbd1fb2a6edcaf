"""Where inputs of one norm live: the sphere and the Boolean cube, as what a function of the angle asks of them."""

import abc
import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rfjax.theory.harmonics import log_largest_share, log_share, multiplicities
from rfjax.theory.hypercube import krawtchouk, log_parity_shares, parities

_PANELS, _ORDER = 16, 20  # Gauss–Legendre panels that halve towards an end, and the nodes of each


class Angles(NamedTuple):
    """Angles with the logarithm of their weights, and the polynomial of every degree there."""

    theta: Float[np.ndarray, " q"]
    log_weight: Float[np.ndarray, " q"]
    polynomials: Float[np.ndarray, "m q"]


class Domain(abc.ABC):
    """A set of points of one norm on which every function of the angle has the same eigenspaces, one a degree."""

    def __init__(self, d: int, degree: int):
        self.d, self.degree = d, degree

    @abc.abstractmethod
    def multiplicities(self) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """The dimension of each eigenspace, and its logarithm."""

    @abc.abstractmethod
    def log_shares(self, powers: int) -> Float[np.ndarray, "k m"]:
        """ln of the eigenvalues of cos^k, k = 0…powers; −inf where they are 0."""

    @abc.abstractmethod
    def log_beyond(self, powers: int) -> Float[np.ndarray, " m"]:
        """ln of a bound on the eigenvalues of cos^k for all k > powers."""

    @abc.abstractmethod
    def angles(self) -> Angles:
        """Quadrature over all angles, exact for what is smooth on each side of π/2, however it starts at 0 and π."""


class Sphere(Domain):
    """The sphere S^{d−1}, d >= 2, with spherical harmonics."""

    def multiplicities(self) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        return multiplicities(self.d, self.degree)

    def log_shares(self, powers: int) -> Float[np.ndarray, "k m"]:
        k, m = np.arange(powers + 1)[:, None], np.arange(self.degree + 1)
        inside = (k >= m) & ((k - m) % 2 == 0)
        return np.where(inside, log_share(k, np.minimum(m, k), self.d), -np.inf)

    def log_beyond(self, powers: int) -> Float[np.ndarray, " m"]:
        return log_largest_share(powers, self.degree, self.d)

    def angles(self) -> Angles:
        edges = math.pi / 2 * np.append(2.0 ** -np.arange(_PANELS), 0.0)
        near, weight = np.hstack([_panel(a, b, self.degree) for b, a in itertools.pairwise(edges)])
        # The density of the angle is sin^{d−2}θ·Γ(d/2)/(√π Γ((d−1)/2)).
        constant = math.lgamma(self.d / 2) - math.lgamma((self.d - 1) / 2) - math.log(math.pi) / 2
        log_weight = np.log(weight) + (self.d - 2) * np.log(np.sin(near)) + constant
        values = gegenbauer(self.degree, np.cos(near), self.d)
        mirrored = values * (-1.0) ** np.arange(self.degree + 1)[:, None]
        return Angles(np.append(near, math.pi - near), np.tile(log_weight, 2), np.hstack([values, mirrored]))


class Cube(Domain):
    """The Boolean cube {±1}^d with its parities."""

    def multiplicities(self) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        return parities(self.d, self.degree)

    def log_shares(self, powers: int) -> Float[np.ndarray, "k m"]:
        return log_parity_shares(powers, self.degree, self.d)

    def log_beyond(self, powers: int) -> Float[np.ndarray, " m"]:
        # |κ_m| <= 1, so that no eigenvalue of cos^k is more than E|cos|^k.
        even = powers - powers % 2
        return np.full(self.degree + 1, log_parity_shares(even, 0, self.d)[even, 0])

    def angles(self) -> Angles:
        j = np.arange(self.d + 1)
        log_weight = parities(self.d, self.d)[1] - self.d * math.log(2)
        cosines = 1 - 2 * j / self.d
        return Angles(np.arccos(cosines), log_weight, krawtchouk(self.degree, cosines, self.d))


def _panel(low: float, high: float, degree: int) -> Float[np.ndarray, "2 q"]:
    """Gauss–Legendre nodes and weights on an interval of angles, for polynomials of the cosine of this degree."""
    x, w = np.polynomial.legendre.leggauss(_ORDER + math.ceil(degree * (high - low) / 2))
    return np.stack([(low + high) / 2 + (high - low) / 2 * x, (high - low) / 2 * w])


def gegenbauer(degree: int, t: Float[np.ndarray, " q"], d: int) -> Float[np.ndarray, "m q"]:
    """P_m(t), P_m(1) = 1, for m = 0…degree and d >= 2: (m+d−2)P_{m+1} = (2m+d−2)tP_m − mP_{m−1}."""
    values = np.empty((degree + 1, *t.shape))
    previous, current = np.ones_like(t), t
    for m in range(degree + 1):
        values[m] = previous
        previous, current = current, ((2 * m + d) * t * current - (m + 1) * previous) / (m + d - 1)
    return values

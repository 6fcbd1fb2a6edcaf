"""The spectrum of a neuron over all its directions: how the energy of x ↦ ϕ(⟨w, x⟩) spreads over spherical degrees."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from rfjax import checks
from rfjax.activations import Nonlinearity
from rfjax.tasks import SingleNeuron, Task
from rfjax.theory.energies import energies
from rfjax.theory.harmonics import log_largest_share, multiplicities, power_energies

DEGREE = 2048
_ROUNDING = 1e-13  # relative accuracy of E g²


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of ⟨g_w, g_w'⟩ = Σ_k a_k²⟨w, w'⟩^k over the sphere, by spherical degree; made by `spectrum`.

    Host arrays in float64, read-only, over the degrees m = 0…M, M <= `degree`; those past M carry no energy.
    """

    d: int
    """The input dimension."""
    degree: int
    """The Hermite degree after which the series is cut."""
    energy: Float[np.ndarray, " m"]
    """λ_m N(d, m): the part of E g² in each spherical degree, averaged over directions."""
    log_eigenvalues: Float[np.ndarray, " m"]
    """ln λ_m; −inf where the energy is 0."""
    log_multiplicity: Float[np.ndarray, " m"]
    """ln N(d, m)."""
    multiplicity: Float[np.ndarray, " m"]
    """N(d, m); inf past float64."""
    remainder: float
    """E g² − Σ_m energy_m: the energy of the Hermite degrees that are cut off, from Parseval's identity."""
    log_unresolved: Float[np.ndarray, " m"]
    """ln of a bound on what the remainder can add to each eigenvalue."""
    rounding: float
    """The absolute accuracy of E g² and so of the remainder."""
    second_moment: float
    """E g²."""
    variance: float
    """Var g."""

    @property
    def eigenvalues(self) -> Float[np.ndarray, " m"]:
        """λ_m; 0 below float64, where `log_eigenvalues` goes on."""
        return np.exp(self.log_eigenvalues)


def spectrum(task: Task, *, degree: int | None = None) -> Spectrum:
    """Eigenvalues λ_m and multiplicities N(d, m) of a target over all its rotations; of a neuron, over all directions w.

    With a_k the Hermite coefficients of ϕ(z) = σ(norm·z + bias), the average of g_w ⊗ g_w over the unit sphere has

        energy_m = Σ_{k <= degree} a_k² p_k(m),   λ_m = energy_m / N(d, m)

    where p_k(m) is the share of t^k in the Gegenbauer polynomial of degree m (Funk–Hecke formula).  The task's own
    direction plays no role.  `degree`, 2048 unless given, is the highest Hermite degree k; `remainder` says what that
    leaves out: about degree^{−3/2} for a kink and degree^{−1/2} for a jump, nothing for a smooth σ.

    Of any other target that `energies` knows, rotated at random about the origin, the energies by spherical degree are
    exact, and eigenvalues are as large as these allow: N(d, m) equal ones of degree m.  The true ones of that degree may be
    more and smaller, so that bounds made from this spectrum hold for them all the more.

    **Raises** TypeError for a task known only as a function; ValueError for a negative degree, or when the coefficients
    carry more energy than E g², which means that σ varies too fast for its quadrature.
    """
    if not isinstance(task, SingleNeuron):
        found = energies(task, degree, basis="spherical")
        rounding = _ROUNDING * found.second_moment
        beyond = None
        if found.spread is not None and found.remainder > 0:
            beyond = math.log(found.spread / found.remainder) + log_largest_share(found.degree, found.degree, task.d)
        return _record(
            task.d, found.degree, found.energy, found.remainder, rounding, found.second_moment, found.variance, beyond
        )
    degree = DEGREE if degree is None else checks.count("degree", degree, least=0)
    return _spectrum(task.activation, task.norm, task.bias, task.d, degree)


@lru_cache(128)
def _spectrum(activation: Nonlinearity, norm: float, bias: float, d: int, degree: int) -> Spectrum:
    powers = _powers(activation, norm, bias, degree)
    mean, square, rounding = _moments(activation, norm, bias)
    remainder = square - float(powers.sum())
    if remainder < -10 * rounding:
        raise ValueError(
            f"the squared Hermite coefficients up to degree {degree} add up to {powers.sum():.9g}, more than E g² = "
            f"{square:.9g}: the activation varies too fast, or too far out, for its quadrature; give its breaks, or a "
            "smaller norm or bias"
        )
    energy = power_energies(powers, d)
    beyond = log_largest_share(degree, len(energy) - 1, d)
    return _record(d, degree, energy, max(remainder, 0.0), rounding, square, square - mean**2, beyond)


def _record(
    d: int,
    degree: int,
    energy: Float[np.ndarray, " m"],
    remainder: float,
    rounding: float,
    square: float,
    variance: float,
    beyond: Float[np.ndarray, " m"] | None = None,
) -> Spectrum:
    """The spectrum with this energy by degree; `beyond` is ln of what a unit of the remainder adds to an eigenvalue."""
    multiplicity, log_multiplicity = multiplicities(d, len(energy) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_eigenvalues = np.where(energy > 0, np.log(energy) - log_multiplicity, -np.inf)
        log_unresolved = np.log(remainder + rounding) + (-log_multiplicity if beyond is None else beyond)
    for array in (energy, log_eigenvalues, log_multiplicity, multiplicity, log_unresolved):
        array.flags.writeable = False  # the record is shared by every caller
    return Spectrum(
        d=d,
        degree=degree,
        energy=energy,
        log_eigenvalues=log_eigenvalues,
        log_multiplicity=log_multiplicity,
        multiplicity=multiplicity,
        remainder=remainder,
        log_unresolved=log_unresolved,
        rounding=rounding,
        second_moment=square,
        variance=variance,
    )


@lru_cache(16)
def _powers(activation: Nonlinearity, norm: float, bias: float, degree: int) -> Float[np.ndarray, " k"]:
    """a_k² for k = 0…degree."""
    return activation.hermite_coefficients(degree, scale=norm, shift=bias) ** 2


@lru_cache(128)
def _moments(activation: Nonlinearity, norm: float, bias: float) -> tuple[float, float, float]:
    """(E g, E g², the accuracy of E g²)."""
    mean, square = activation.moments(scale=norm, shift=bias)
    return mean, square, _ROUNDING * square

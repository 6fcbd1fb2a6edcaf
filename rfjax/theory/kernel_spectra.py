"""Eigenvalues and multiplicities of kernels of norms and angle, on the sphere, the Boolean cube and under the Gaussian."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rfjax import checks
from rfjax.kernels import Kernel
from rfjax.kernels.base import as_operand
from rfjax.theory.angles import Norms
from rfjax.theory.domains import Cube, Domain, Sphere
from rfjax.theory.powers import homogeneity
from rfjax.theory.projections import Projection, by_angles, by_powers, few_dimensions, magnitude
from rfjax.theory.propagation import HermiteError
from rfjax.theory.radial import radial_levels

DEGREE = 30
_LONGEST = 4096  # powers of the cosine that are kept, at most, unless more degrees are asked for
_LONGEST_PAIRS = 384  # the same where there are many pairs of norms
_NEGLIGIBLE = 40.0  # −ln of what counts as nothing beside an eigenvalue


@dataclass(frozen=True, eq=False)
class KernelSpectrum:
    """Eigenvalues of a kernel as an operator on functions of its inputs; made by `kernel_spectrum`.

        (Kf)(x) = E_y k(x, y)f(y),   E k(x, x) = Σ_s multiplicity_s λ_s + remainder

    One entry s for every eigenspace: on the sphere and the cube one a degree, under the Gaussian one for every degree and
    radial function.  Host arrays in float64.
    """

    inputs: str
    """"sphere", "cube" or "gaussian"."""
    d: int
    """The input dimension."""
    degrees: Int[np.ndarray, " s"]
    """The degree m of each eigenspace."""
    log_eigenvalues: Float[np.ndarray, " s"]
    """ln λ; −inf where it is 0."""
    multiplicity: Float[np.ndarray, " s"]
    """The dimension of each eigenspace; inf past float64."""
    log_multiplicity: Float[np.ndarray, " s"]
    """Its logarithm."""
    log_error: Float[np.ndarray, " s"]
    """ln of a bound on the error of each eigenvalue."""
    trace: float
    """E k(x, x), between different points: without what Dropout adds on the diagonal."""

    @property
    def eigenvalues(self) -> Float[np.ndarray, " s"]:
        """λ; 0 below float64, where `log_eigenvalues` goes on."""
        return np.exp(self.log_eigenvalues)

    @property
    def energy(self) -> Float[np.ndarray, " s"]:
        """multiplicity·λ: the part of E k(x, x) in each eigenspace."""
        return np.exp(self.log_eigenvalues + self.log_multiplicity)

    @property
    def degree(self) -> int:
        """The highest degree."""
        return int(self.degrees.max())

    @property
    def remainder(self) -> float:
        """E k(x, x) − Σ energy: what lies in higher degrees (and, under the Gaussian, in finer radial functions)."""
        return max(self.trace - float(self.energy.sum()), 0.0)


def kernel_spectrum(
    kernel: Kernel,
    d: int,
    *,
    degree: int | None = None,
    inputs: str = "sphere",
    radius: float | None = None,
    tolerance: float = 1e-6,
) -> KernelSpectrum:
    """Eigenvalues and multiplicities of a kernel of norms and angle, to spherical degree `degree` (30, or d on a small cube).

        "sphere"     x uniform on the sphere of `radius` (√d unless given): spherical harmonics, N(d, m) of degree m
        "cube"       x uniform on {±1}^d: parities of m coordinates, C(d, m) of degree m
        "gaussian"   x ~ N(0, I_d): harmonics times functions of ‖x‖, by Gauss quadrature of the law of ‖x‖

    Of k = Σ_n b_n cos^n the eigenvalue of degree m is λ_m = Σ_n b_n c(n, m, d), every b_n being right to its own last
    digits, so that λ_m is, however small.  NNGPs and NTKs of any depth and activation, kernels of the distance, dot-product
    and arc-cosine kernels, and sums, products and multiples of them.  What the power series leaves out sits at angles near
    0 and π, where it is integrated; in few dimensions, where radii matter, all of the kernel is.  In float64 throughout.
    `log_error` bounds the error of each eigenvalue; energy past `degree` is in `remainder`.

    **Raises** TypeError for a kernel that is no function of norms and angle (a length scale a column, `Restrict`, finite
    networks); ValueError for d below 2, a negative degree, one above d on the cube, unknown inputs, a radius elsewhere
    than on the sphere, or an eigenvalue whose relative error may exceed `tolerance`.
    """
    kernel, d = as_operand(kernel), checks.count("d", d, least=2)
    inputs = checks.choice("inputs", inputs, ("sphere", "cube", "gaussian"))
    tolerance = float(checks.number("tolerance", tolerance, above=0.0))
    default = min(DEGREE, d) if inputs == "cube" else DEGREE
    degree = default if degree is None else checks.count("degree", degree, least=0)
    if inputs == "cube" and degree > d:
        raise ValueError(f"degree must be at most d = {d} on the cube, got {degree}")
    if radius is not None and inputs != "sphere":
        raise ValueError(f'radius must be left out for inputs="{inputs}": it is that of the sphere')
    norm = math.sqrt(d) if radius is None else float(checks.number("radius", radius, above=0.0))
    if inputs == "gaussian":
        found = _gaussian(kernel, d, degree, tolerance)
    else:
        found = _one_norm(kernel, (Cube if inputs == "cube" else Sphere)(d, degree), norm, inputs, tolerance)
    _require(found, tolerance)
    return found


def _one_norm(kernel: Kernel, domain: Domain, norm: float, inputs: str, tolerance: float) -> KernelSpectrum:
    """The spectrum on points of one norm."""
    one = np.zeros(1, dtype=int)
    norms = Norms(np.array([norm]), one, one, domain.d)
    few = few_dimensions(domain, tolerance)
    found = _by_affordable_powers(kernel, norms, domain, _LONGEST // 4 if few else _LONGEST)
    if few and (found.log_error[0] > magnitude(found.log[0]) + math.log(tolerance)).any():
        found = found.best(by_angles(kernel, norms, domain))
    multiplicity, log_multiplicity = domain.multiplicities()
    return KernelSpectrum(
        inputs=inputs,
        d=domain.d,
        degrees=np.arange(domain.degree + 1),
        log_eigenvalues=np.where(found.sign[0] > 0, found.log[0], -np.inf),
        multiplicity=multiplicity,
        log_multiplicity=log_multiplicity,
        log_error=found.log_error[0],
        trace=float(found.limit[0]),
    )


def _by_affordable_powers(kernel: Kernel, norms: Norms, domain: Domain, longest: int) -> Projection:
    kept = _kept(domain, longest, _NEGLIGIBLE)
    while True:
        try:
            return by_powers(kernel, norms, domain, kept)
        except HermiteError:  # fewer powers need fewer Hermite coefficients, and leave more to the ends
            if kept <= domain.degree:
                raise
            kept = max(kept // 2, domain.degree)


def _gaussian(kernel: Kernel, d: int, degree: int, tolerance: float) -> KernelSpectrum:
    """Under N(0, I_d): of homogeneous kernels from the unit sphere, of others from an operator on the radius a degree."""
    power = homogeneity(kernel)
    if power is not None:
        sphere = _one_norm(kernel, Sphere(d, degree), 1.0, "gaussian", tolerance)
        log_moment = power * math.log(2) + math.lgamma(d / 2 + power) - math.lgamma(d / 2)  # E‖x‖^{2p}
        return KernelSpectrum(
            **vars(sphere)
            | {
                "log_eigenvalues": sphere.log_eigenvalues + log_moment,
                "log_error": sphere.log_error + log_moment,
                "trace": sphere.trace * math.exp(log_moment),
            }
        )
    domain = Sphere(d, degree)
    levels = radial_levels(kernel, domain, _kept(domain, _LONGEST_PAIRS, 5 - math.log(tolerance)), tolerance)
    multiplicity, log_multiplicity = domain.multiplicities()
    return KernelSpectrum(
        inputs="gaussian",
        d=d,
        degrees=levels.degrees,
        log_eigenvalues=levels.log_eigenvalues,
        multiplicity=multiplicity[levels.degrees],
        log_multiplicity=log_multiplicity[levels.degrees],
        log_error=levels.log_error,
        trace=levels.trace,
    )


def _require(found: KernelSpectrum, tolerance: float) -> None:
    """Raise ValueError where an eigenvalue is not known to its tolerance."""
    size = magnitude(found.log_eigenvalues)
    bad = np.flatnonzero(~(found.log_error <= size + math.log(tolerance)) & (found.log_error > -math.inf))
    if len(bad):
        worst = int(found.degrees[bad[0]])
        with np.errstate(over="ignore"):
            error = np.exp(found.log_error[bad[0]] - size[bad[0]])
        lower = f"ask for a degree below {worst}, or " if worst else ""
        raise ValueError(
            f"the power series of the kernel has not converged for degree {worst} in d = {found.d}: the remainder may change "
            f"that eigenvalue by a relative {error:.2g}, more than tolerance = {tolerance:g}; {lower}accept a larger "
            "tolerance"
        )


def _kept(domain: Domain, longest: int, below: float) -> int:
    """Powers enough that those beyond add e^−below of itself to the highest degree, or as many as are affordable."""
    kept = domain.degree + 64
    longest = max(longest, 2 * domain.degree)
    peak = _log_peak(domain)
    while kept < longest and domain.log_beyond(kept)[-1] > peak - below:
        kept = min(kept + kept // 2, longest)
    return kept


def _log_peak(domain: Domain) -> float:
    """ln of the largest eigenvalue that a power of the cosine has in the highest degree."""
    return float(domain.log_beyond(max(domain.degree - 1, 0))[-1])

"""The limits of r fixed functions: the average error of the best r-dimensional space, and the least r for an error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import ArrayLike, Float

from rfjax import checks
from rfjax.activations import Quadrature
from rfjax.tasks import SingleNeuron, Task
from rfjax.theory.harmonics import multiplicities
from rfjax.theory.spectra import DEGREE, Spectrum, spectrum
from rfjax.theory.staircase import Counts, Landing, Staircase, parse_counts

_LEVELS = (DEGREE, 2**13, 2**15, 2**17, 2**19)  # Hermite degrees tried, until what is cut off no longer matters
_LEVELS_QUADRATURE = (DEGREE, 2**12)  # here the coefficients come from a table of that many columns
_TOLERANCE = 1e-3  # relative error of a width or a bound at which the series is long enough
_LAST_TOLERANCE = 1e-2  # and the one that a width may have when the series ends
_NEGLIGIBLE = 1e-6  # a bound below this part of the variance is not refined further


@dataclass(frozen=True)
class MinimalWidth:
    """The least number of functions that reach an error; made by `minimal_width`."""

    width: float
    """The number, whole and good to about 11 digits; inf past float64."""
    log10: float
    """Its logarithm, finite whenever the width is positive; −inf for width 0."""
    degree: int
    """The spherical degree in which it ends, eigenvalues taken in descending order."""


def risk_lower_bound(
    task: Task, r: ArrayLike | Sequence[Any], *, relative: bool = True
) -> float | Float[np.ndarray, "..."]:
    """The error that the best linear combination of ANY r fixed functions has at least, averaged over directions.

        E_w min_u E(g_w(x) − Σ_{i<=r} u_i f_i(x))²  >=  Σ_{j>r} λ_j

    with the eigenvalues of `spectrum` in descending order, repeated by multiplicity; the top eigenspaces attain it.
    One number for three views: r random features, every kernel method on r samples (its predictor is in the span of r
    functions of x) and the tangent model of r parameters, whatever the size of the coefficients.  A target of several
    directions counts with all its rotations.  It is an average over these: it holds at each when the law of the functions
    is rotation invariant.  Networks trained past their linearisation, and kernels tuned on the labels, legitimately do
    better.

    r is a number or an array of them; 1e30 and integers past float64 are welcome, and between integers the bound is
    linear.  A constant counts as one of the r functions like any other, so at r = 0 the bound is E g², which relative
    to the variance may exceed 1.  `relative=False` gives the error itself.

    What the Hermite series leaves out counts as far as no r functions can have captured it, so that the result is a
    valid bound at any truncation.  It is within 1e-3 of the tail itself, except where that is below 1e-6 of the
    variance or the series converges too slowly (a jump at large r, which also takes seconds the first time).

    **Raises** TypeError for a task known only as a function or an r that is not real; ValueError for an r that is
    negative, NaN or infinite, or a target of variance 0.
    """
    counts = parse_counts("r", r)
    for degree in _levels(task):
        tail = _Tail(spectrum(task, degree=degree))
        scale = _scale(tail.series, relative)
        bound, gap = tail.bound(counts)
        if np.all((gap <= _TOLERANCE * bound) | (bound + gap <= _NEGLIGIBLE * tail.series.variance)):
            break
    return bound / scale if bound.ndim else float(bound) / scale


def minimal_width(task: Task, error: float, *, relative: bool = True) -> MinimalWidth:
    """The least r for which r fixed functions could reach this average error: the least r with Σ_{j>r} λ_j <= error.

    By `risk_lower_bound`, no fewer random features, kernel samples or tangent parameters reach it.  `error` is in units
    of the variance, or absolute with `relative=False`; at E g² and above, the width is 0.  The Hermite series is
    continued until what it leaves out moves the width by less than 0.1 %, or 1 % where it converges slowly (a jump).

    **Raises** TypeError for a task known only as a function; ValueError for an error that is not positive and
    finite, for a target of variance 0, and where the remainder of the series is too large to tell the width: the
    message states the remainder and the widths it leaves possible.
    """
    error = float(checks.number("error", error, above=0.0))
    levels = _levels(task)
    for degree in levels:
        tail = _Tail(spectrum(task, degree=degree))
        scale = _scale(tail.series, relative)
        width, low, high, resolved = tail.width(error * scale, _LAST_TOLERANCE if degree == levels[-1] else _TOLERANCE)
        if resolved:
            return MinimalWidth(width.value, width.log / math.log(10), width.label)
        if tail.remainder == 0:  # the series is complete, and it is E g² that is not known well enough
            break
    series = tail.series
    raise ValueError(
        f"error must be large against the remainder of the Hermite series, got {error:.4g}: the degrees beyond "
        f"{series.degree} hold a remainder of {(tail.remainder + series.rounding) / scale:.3g} in the same unit, "
        f"so that the width is only known to lie between {_show(low)} and {_show(high)}"
    )


@dataclass(frozen=True)
class CoefficientBound:
    """A lower bound on the size of coefficients; made by `coefficient_bound`."""

    value: float
    """The bound, in units of the target's standard deviation unless asked otherwise; inf past float64."""
    log10: float
    """Its logarithm; −inf where there is no bound."""
    degree: int
    """The spherical degree of the eigenspace that gives it."""


def coefficient_bound(task: Task, error: float, *, relative: bool = True) -> CoefficientBound:
    """How large the coefficients of ANY number of fixed functions must be, to reach an error on average over directions.

        Σ_i ‖f_i‖·(E_w u_i²)^{1/2}  >=  max_K √(tail_K/λ_{K+1})·(√tail_K − √error),   tail_K = Σ_{j>K} λ_j

    with ‖f_i‖ = (E f_i²)^{1/2} and the eigenvalues of `spectrum` in descending order.  The mean over w is inside of the
    sum: one function a direction, as a trained network chooses it, is not bounded.  `error` is relative to the variance and
    the bound to the standard deviation, or both absolute with `relative=False`.  What the Hermite series leaves out is left
    out of the target, which only lowers the bound.

    **Raises** TypeError for a task known only as a function; ValueError for an error that is not positive and finite, or a
    target of variance 0.
    """
    series = spectrum(task, degree=None)
    scale = _scale(series, relative)
    root = math.sqrt(float(checks.number("error", error, above=0.0)) * scale)
    order = np.argsort(-series.log_eigenvalues, kind="stable")
    order = order[np.isfinite(series.log_eigenvalues[order])]
    tails = np.cumsum(series.energy[order][::-1])[::-1]  # before each eigenspace: within one the bound falls
    with np.errstate(divide="ignore"):
        logs = (np.log(tails) - series.log_eigenvalues[order]) / 2 + np.log(np.maximum(np.sqrt(tails) - root, 0))
    best = int(np.argmax(logs)) if len(logs) else -1
    log = float(logs[best]) - math.log(scale) / 2 if best >= 0 else -math.inf
    with np.errstate(over="ignore"):
        return CoefficientBound(float(np.exp(log)), log / math.log(10), int(order[best]) if best >= 0 else 0)


def degree_reach(d: int, r: ArrayLike, degree: int = 10) -> Float[np.ndarray, "... m"]:
    """The most that r fixed functions, or r samples, can capture of each degree 0…degree: min(1, r/N(d, m)).

    N(d, m) harmonics of degree m hold a target's energy evenly, averaged over rotations.  Of d^ℓ << r << d^{ℓ+1} that is
    all of degree ℓ and nothing of degree ℓ + 1.  Ghorbani, Mei, Misiakiewicz & Montanari 2021, *Linearized two-layers
    neural networks in high dimension*.

    **Raises** TypeError or ValueError for d below 1, a negative degree, or an r that is no finite number >= 0.
    """
    d, degree = checks.count("d", d), checks.count("degree", degree, least=0)
    counts = parse_counts("r", r)
    _, log_count = multiplicities(d, degree)
    return np.exp(np.minimum(counts.log[..., None] - log_count, 0.0))


class _Tail:
    """Σ_{j>r} λ_j between bounds: of the eigenvalues that are known, and of what the truncation leaves out."""

    def __init__(self, series: Spectrum):
        self.series = series
        self.remainder = series.remainder if series.remainder > series.rounding else 0.0
        order = np.argsort(-series.log_eigenvalues, kind="stable")[: max(1, np.count_nonzero(series.energy))]
        self._known = Staircase(order, series.energy[order], series.multiplicity[order], series.log_multiplicity[order])
        # On the sphere of two points there are two degrees; beyond them N = 0.
        some = np.flatnonzero(series.log_multiplicity > -np.inf)
        with np.errstate(over="ignore"):
            mass = np.minimum(np.exp(series.log_unresolved[some] + series.log_multiplicity[some]), 1e300)
        self._unresolved = Staircase(some, mass, series.multiplicity[some], series.log_multiplicity[some])

    def bound(self, r: Counts) -> tuple[Any, Any]:
        """A lower bound on the tail, and how far above it the tail may lie.

        The sum of the r largest eigenvalues of a sum is at most the sum of both sums (Ky Fan): the first r functions
        take at most `taken` of the remainder, and the rest of it is in the tail.
        """
        taken = np.minimum(self._unresolved.first(r), self.remainder)
        return self._known.rest(r) + np.maximum(self.remainder - self.series.rounding - taken, 0.0), taken

    def width(self, error: float, tolerance: float) -> tuple[Landing, Landing, Landing, bool]:
        """The least r with tail <= error; bounds on it; and whether the truncation leaves it within the tolerance."""
        least, remainder, rounding = self._known.least, self.remainder, self.series.rounding
        width = least(error - remainder)
        taken = float(self._unresolved.first(Counts(np.asarray(width.value), np.asarray(width.log))))
        missing = max(remainder - taken, 0.0)
        low, high = least(error - missing + rounding), least(error - remainder - rounding)
        cut, rounded = _close(least(error - missing), width, tolerance, 0), _close(low, high, _LAST_TOLERANCE, 1)
        return width, low, high, cut and rounded


def _close(low: Landing, high: Landing, tolerance: float, steps: int) -> bool:
    """Whether two numbers differ by at most this relative tolerance, or by this many steps."""
    return high.log - low.log <= tolerance or high.value - low.value <= steps


def _show(width: Landing) -> str:
    return f"{width.value:.4g}" if width.value < 1e6 or math.isinf(width.log) else f"10^{width.log / math.log(10):.4g}"


def _levels(task: Task) -> tuple[int | None, ...]:
    """The truncations to try, one after the other."""
    if not isinstance(task, SingleNeuron):
        return (None,)
    return _LEVELS_QUADRATURE if isinstance(task.activation, Quadrature) else _LEVELS


def _scale(series: Spectrum, relative: bool) -> float:
    """What an error is divided by: the variance, or nothing."""
    if not relative:
        return 1.0
    if series.variance <= series.rounding:
        raise ValueError(
            f"task must have a positive variance for a relative error, got {series.variance:.3g}: pass relative=False"
        )
    return series.variance

"""Kernels of norms and angle under the Gaussian: for every degree an operator on functions of the norm."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rfjax.kernels import Kernel
from rfjax.theory.angles import Norms
from rfjax.theory.domains import Sphere
from rfjax.theory.norm_laws import NormLaw, Rule
from rfjax.theory.projections import Projection, by_angles, by_powers, few_dimensions, magnitude

_NODES, _SPLIT = (6, 12, 24, 48), (32, 64)  # of the law of the norm, more until eigenvalues settle
_SAFETY = math.log(3.0)  # of how far refinement has still to go
_WORTH = 1.0  # ln of what another way must gain to be gone

Project = Callable[[Norms], Projection]


class Levels(NamedTuple):
    """Eigenvalues by degree and radial function, with ln of a bound on their error, and E k(x, x)."""

    degrees: Int[np.ndarray, " s"]
    log_eigenvalues: Float[np.ndarray, " s"]
    log_error: Float[np.ndarray, " s"]
    trace: float


def radial_levels(kernel: Kernel, domain: Sphere, kept: int, tolerance: float) -> Levels:
    """The eigenvalues of K_m(r, s) = E k(x, y)P_m(cos θ), ‖x‖ = r, ‖y‖ = s, under the law of ‖x‖, for every degree m.

    In few dimensions by quadrature of the kernel in the angle; otherwise from its power series to degree `kept`.  Those
    eigenvalues that one more refinement of the quadrature in r moves by more than the tolerance are left to the
    remainder, but for the largest of each degree.
    """
    law, found = NormLaw(domain.d), None
    if few_dimensions(domain, tolerance):
        angles = partial(by_angles, kernel, domain=domain)
        found = _refined(angles, law.gauss, _NODES[1:], tolerance)
        if _exceeds(found.log_moved, found, tolerance).any():
            found = _best(found, _refined(angles, law.split, _SPLIT, tolerance))
    if found is None or (unknown := _exceeds(found.log_off, found, tolerance)).any():
        powers, rough = _fewest_powers(kernel, domain, law, kept, tolerance)
        if found is None:
            found = _refined(powers, law.gauss, _NODES, tolerance)
        elif (_relative(rough) < _relative(found) - _WORTH)[unknown].any():
            found = _best(found, _refined(powers, law.gauss, _NODES, tolerance))
    settled = (_error(found) <= found.log + math.log(tolerance)) & np.isfinite(found.log)
    settled[:, 0] = True
    degrees, radial = np.nonzero(settled)
    return Levels(degrees, found.log[degrees, radial], _error(found)[degrees, radial], found.trace)


class _Operators(NamedTuple):
    """ln of the eigenvalues of each degree in descending order, and E k(x, x).

    `log_off` is ln of what the values of K_m may be off, and `log_moved` of what the last refinement in r has moved.
    """

    log: Float[np.ndarray, "m q"]
    log_off: Float[np.ndarray, "m q"]
    log_moved: Float[np.ndarray, "m q"]
    trace: float


def _fewest_powers(
    kernel: Kernel, domain: Sphere, law: NormLaw, kept: int, tolerance: float
) -> tuple[Project, _Operators]:
    """By as few powers as leave eigenvalues known: their number is what takes time.  And what the least of nodes give."""
    for few in sorted({min(few, kept) for few in (domain.degree + 64, 2 * domain.degree + 128, kept)}):
        powers = partial(by_powers, kernel, domain=domain, kept=few)
        rough = _operators(powers, law.gauss(_NODES[0]))
        if not _exceeds(rough.log_off, rough, tolerance).any():
            break
    return powers, rough


def _relative(found: _Operators) -> Float[np.ndarray, " m"]:
    """ln of what the largest eigenvalue of each degree may be off, relative to it."""
    return found.log_off[:, 0] - magnitude(found.log[:, 0])


def _error(found: _Operators) -> Float[np.ndarray, "m q"]:
    return np.logaddexp(found.log_off, found.log_moved)


def _exceeds(log_error: Float[np.ndarray, "m q"], found: _Operators, tolerance: float) -> Bool[np.ndarray, " m"]:
    """Of the largest eigenvalue of each degree."""
    allowed = magnitude(found.log[:, 0]) + math.log(tolerance)
    return ~(log_error[:, 0] <= allowed) & (log_error[:, 0] > -math.inf)


def _best(one: _Operators, two: _Operators) -> _Operators:
    """Of each degree the one that knows its largest eigenvalue better."""
    size = min(one.log.shape[1], two.log.shape[1])
    better = (_error(two)[:, 0] < _error(one)[:, 0])[:, None]
    log, off, moved = (np.where(better, b[:, :size], a[:, :size]) for a, b in zip(one[:3], two[:3], strict=True))
    return _Operators(log, off, moved, one.trace)


def _refined(project: Project, rule: Callable[[int], Rule], nodes: tuple[int, ...], tolerance: float) -> _Operators:
    """Eigenvalues with more and more nodes of the law of the norm, until the largest of each degree stays."""
    coarse, before = _operators(project, rule(nodes[0])), None
    for count in nodes[1:]:
        fine = _operators(project, rule(count))
        moved = _moved(fine.log, coarse.log)
        size = moved.shape[1]
        fine = _Operators(fine.log[:, :size], fine.log_off[:, :size], _still(moved, before), fine.trace)
        if not (_exceeds(fine.log_moved, fine, tolerance) & (fine.log_moved > fine.log_off)[:, 0]).any():
            break
        coarse, before = fine, moved
    return fine


def _still(moved: Float[np.ndarray, "m q"], before: Float[np.ndarray, "m p"] | None) -> Float[np.ndarray, "m q"]:
    """ln of a bound on what further refinement would move.

    Twice the nodes moved e₀ before and e₁ now: then it is e₁²/e₀ that is to come where the error falls like a power of
    their number, and less where it falls geometrically.
    """
    if before is None:
        return moved
    size = before.shape[1]
    with np.errstate(invalid="ignore"):
        falling = np.minimum(moved[:, :size] - before, 0.0)
    return np.hstack([moved[:, :size] + np.where(np.isnan(falling), 0.0, falling), moved[:, size:]]) + _SAFETY


def _operators(project: Project, rule: Rule) -> _Operators:
    found = project(rule.norms)
    log = found.log + rule.log_weight[:, None]
    off = 2 * (found.log_error + rule.log_weight[:, None]) + np.log(rule.times)[:, None]
    error = np.logaddexp.reduce(off, axis=0) / 2  # the Frobenius norm of what the matrix may be off
    eigenvalues = np.full((log.shape[1], rule.nodes), -np.inf)
    for m, (logs, signs) in enumerate(zip(log.T, found.sign.T, strict=True)):
        top = logs.max()
        if np.isfinite(top):
            values = np.linalg.eigvalsh(rule.matrix(signs * np.exp(logs - top)))[::-1]
            positive = values > max(1e-13 * values[0], np.exp(error[m] - top))  # what is below is rounding
            eigenvalues[m, positive] = np.log(values[positive]) + top
    trace = float(rule.weights @ found.limit[: rule.nodes])
    return _Operators(eigenvalues, np.tile(error[:, None], rule.nodes), np.full_like(eigenvalues, -np.inf), trace)


def _moved(fine: Float[np.ndarray, "m q"], coarse: Float[np.ndarray, "m p"]) -> Float[np.ndarray, "m p"]:
    """ln |fine − coarse| of the eigenvalues that both have; +inf where one of them is missing."""
    fine = fine[:, : coarse.shape[1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.maximum(fine, coarse) + np.log(-np.expm1(-np.abs(fine - coarse)))
    return np.where(np.isfinite(fine) & np.isfinite(coarse), gap, np.where(np.isfinite(fine), np.inf, -np.inf))

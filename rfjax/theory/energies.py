"""Targets by degree: how much of E g² lies in Hermite polynomials, or in spherical harmonics, of each degree."""

import itertools
import math
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from jaxtyping import Float

from rfjax import checks
from rfjax.tasks import MultiIndex, RandomPolynomial, ReLUTeacher, SingleNeuron, Task
from rfjax.theory.domains import gegenbauer
from rfjax.theory.harmonics import log_share, multiplicities, power_energies
from rfjax.theory.tensors import hermite_tensor, multi_index_energies, tensor_degree

DEGREE = 256  # of the Hermite series, unless given; fewer where the target has several directions
_ROUNDING = 1e-12  # relative, of E g²

Overlaps = list[tuple[int, Float[np.ndarray, " j"], Float[np.ndarray, "j j"]]]


@dataclass(frozen=True, eq=False)
class Energies:
    """E g² by degree; made by `energies`.  Host arrays in float64."""

    basis: str
    """"hermite" or "spherical"."""
    degree: int
    """The Hermite degree after which the series is cut."""
    energy: Float[np.ndarray, " k"]
    """The part of E g² in each degree 0…degree."""
    second_moment: float
    """E g²."""
    variance: float
    """Var g."""
    spread: float | None = None
    """What is left out adds at most spread·max_k N(d, m)c(k, m, d) to spherical degree m, k > degree; None: no such bound."""

    @property
    def remainder(self) -> float:
        """E g² − Σ energy: what lies in Hermite degrees above `degree`."""
        return max(self.second_moment - float(self.energy.sum()), 0.0)


def energies(task: Task, degree: int | None = None, *, basis: str = "hermite") -> Energies:
    """The energy E g² of a target under x ~ N(0, I_d), by degree.

        "hermite"     of the polynomials of degree k orthogonal to all lower ones: Σ_{|α|=k} (E g·h_α)²
        "spherical"   of spherical harmonics of degree m in x/‖x‖, times functions of ‖x‖

    For g = Σ_j c_j σ(⟨w_j, x⟩ + b_j), with a_jk the Hermite coefficients and ρ the cosines of the w_j, the two are
    Σ_jl c_j c_l a_jk a_lk ρ_jl^k and Σ_k N(d, m)c(k, m, d) Σ_jl c_j c_l a_jk a_lk P_m(ρ_jl); products of several directions
    go by their Hermite tensor.  `degree`, 256 unless given (less for tensors of more than two directions), is where the
    Hermite series is cut, and `remainder` what that leaves out.

    **Raises** TypeError for a target known only as a function (estimate from samples: `estimate_energies`); ValueError for
    a negative degree, an unknown basis, or a degree too high for a target of so many directions.
    """
    basis = checks.choice("basis", basis, ("hermite", "spherical"))
    degree = None if degree is None else checks.count("degree", degree, least=0)
    energy = (_hermite if basis == "hermite" else _spherical)(task, degree)
    variance, mean = task.variance, task.mean
    if not math.isfinite(variance):
        raise ValueError(f"task must have a finite variance, got {variance}")
    return Energies(basis, len(energy) - 1, energy, variance + mean**2, variance, _spread(task, len(energy) - 1))


def _spread(task: Task, degree: int) -> float | None:
    """J Σ_j c_j² Σ_{k > degree} a_jk² for J neurons: by Cauchy and Schwarz, Σ_jl c_j c_l a_jk a_lk P_m(ρ_jl) is no more."""
    if not isinstance(task, ReLUTeacher):
        return None
    weight, bias, outer = (np.asarray(v, np.float64) for v in (task.weight, task.bias, task.coefficients))
    norms = np.linalg.norm(weight, axis=1)
    bias, outer = np.broadcast_to(bias, norms.shape), np.broadcast_to(outer, norms.shape)
    rest = 0.0
    for c, s, b in zip(outer, norms, bias, strict=True):
        a = task.activation.hermite_coefficients(degree, scale=float(s), shift=float(b))
        rest += c**2 * max(task.activation.moments(scale=float(s), shift=float(b))[1] - float(a @ a), 0.0)
    return len(norms) * rest


def information_exponent(task: Task, *, tolerance: float = 1e-9) -> int:
    """The least degree k >= 1 in which a target has Hermite energy (more than `tolerance` of its variance).

    Ben Arous, Gheissari & Jagannath 2021, *Online stochastic gradient descent on non-convex losses*.

    **Raises** as `energies`, and ValueError where no degree has any.
    """
    found = energies(task)
    seen = np.flatnonzero(found.energy[1:] > tolerance * found.variance)
    if len(seen) == 0 or found.variance <= 0:
        raise ValueError(f"task must have energy in a degree from 1 to {found.degree}, and it has none")
    return int(seen[0]) + 1


def leap(task: Task, *, tolerance: float = 1e-9) -> int:
    """The largest jump in degree that learning the target's directions one after the other cannot avoid.

    From no direction known, the Hermite term with the fewest factors in unknown directions is taken next, and makes its
    directions known; the leap is the largest number of such factors met on the way.  It is that of the target's own
    directions: others may have a smaller one.  For a single neuron it is the information exponent.  Abbe, Boix-Adserà &
    Misiakiewicz 2023, *SGD learning on neural networks: leap complexity and saddle-to-saddle dynamics*.

    **Raises** TypeError for a target that is not a function of orthonormal directions.
    """
    if isinstance(task, SingleNeuron):
        return information_exponent(task, tolerance=tolerance)
    if not isinstance(task, MultiIndex):
        raise TypeError(
            f"task must be a function of orthonormal directions (rf.tasks.multi_index, staircase, parity, single_neuron), "
            f"got {type(task).__name__}"
        )
    tensor = hermite_tensor(task, min(tensor_degree(task), 12))
    alphas = np.argwhere(tensor**2 > tolerance * task.variance)
    alphas, known, largest = alphas[alphas.any(axis=1)], np.zeros(tensor.ndim, dtype=bool), 0
    while len(alphas := alphas[alphas[:, ~known].any(axis=1)]):
        steps = alphas[:, ~known].sum(axis=1)
        largest = max(largest, int(steps.min()))
        known |= alphas[int(np.argmin(steps))] > 0
    if largest == 0:
        raise ValueError("task must have energy in a low degree >= 1, and it has none")
    return largest


@singledispatch
def _hermite(task: Task, degree: int | None) -> Float[np.ndarray, " k"]:
    raise TypeError(
        f"task must be made by rf.tasks with its Hermite series known, got {type(task).__name__}: draw samples and use "
        "rf.theory.estimate_energies"
    )


@_hermite.register
def _(task: SingleNeuron, degree: int | None) -> Float[np.ndarray, " k"]:
    return task.hermite_coefficients(DEGREE if degree is None else degree) ** 2


@_hermite.register(ReLUTeacher)
@_hermite.register(RandomPolynomial)
def _(task: ReLUTeacher | RandomPolynomial, degree: int | None) -> Float[np.ndarray, " k"]:
    terms = _overlaps(task, degree)
    energy = np.zeros(max(k for k, _, _ in terms) + 1)
    for k, c, rho in terms:
        energy[k] = c @ rho**k @ c
    return np.maximum(energy, 0.0)


@_hermite.register
def _(task: MultiIndex, degree: int | None) -> Float[np.ndarray, " k"]:
    top = DEGREE if degree is None else degree
    energy, terms = np.zeros(top + 1), list(zip(task.coefficients, task.factors, strict=True))
    for (c, one), (b, two) in itertools.product(terms, repeat=2):
        product = c * b * np.eye(1, top + 1)[0]
        for i in dict(one).keys() | dict(two).keys():
            rows = [dict(f)[i].hermite_coefficients(top) if i in dict(f) else np.eye(1, top + 1)[0] for f in (one, two)]
            product = np.convolve(product, rows[0] * rows[1])[: top + 1]
        energy += product
    return np.maximum(energy, 0.0)


@singledispatch
def _spherical(task: Task, degree: int | None) -> Float[np.ndarray, " m"]:
    return _hermite(task, degree)  # which raises


@_spherical.register
def _(task: SingleNeuron, degree: int | None) -> Float[np.ndarray, " m"]:
    powers = _hermite(task, degree)
    energy = power_energies(powers, task.d)
    return np.pad(energy, (0, len(powers) - len(energy)))


@_spherical.register(ReLUTeacher)
@_spherical.register(RandomPolynomial)
def _(task: ReLUTeacher | RandomPolynomial, degree: int | None) -> Float[np.ndarray, " m"]:
    terms = _overlaps(task, degree)
    top = max(k for k, _, _ in terms)
    energy, m, (_, log_count) = np.zeros(top + 1), np.arange(top + 1), multiplicities(task.d, top)
    polynomials: tuple[int, Float[np.ndarray, "m j j"]] | None = None
    for k, c, rho in terms:
        if polynomials is None or polynomials[0] != id(rho):
            polynomials = id(rho), _gegenbauer(top, rho, task.d)
        own = m[k % 2 : k + 1 : 2]
        shares = np.exp(log_count[own] + log_share(k, own, task.d))
        energy[own] += shares * np.einsum("j,mjl,l->m", c, polynomials[1][own], c)
    return np.maximum(energy, 0.0)


@_spherical.register
def _(task: MultiIndex, degree: int | None) -> Float[np.ndarray, " m"]:
    top = tensor_degree(task) if degree is None else degree
    return multi_index_energies(task, top)


@singledispatch
def _overlaps(task: Task, degree: int | None) -> Overlaps:
    """(k, c, ρ) for g = Σ_k Σ_j c_j h_k(⟨w_j, x⟩), unit w_j of cosines ρ."""
    raise NotImplementedError


@_overlaps.register
def _(task: ReLUTeacher, degree: int | None) -> Overlaps:
    weight, bias, outer = (np.asarray(v, np.float64) for v in (task.weight, task.bias, task.coefficients))
    norms = np.linalg.norm(weight, axis=1)
    unit = weight / np.where(norms > 0, norms, 1)[:, None]
    top = DEGREE if degree is None else degree
    bias, outer = np.broadcast_to(bias, norms.shape), np.broadcast_to(outer, norms.shape)
    a = np.stack(
        [
            task.activation.hermite_coefficients(top, scale=float(s), shift=float(b))
            for s, b in zip(norms, bias, strict=True)
        ]
    )
    rho = np.clip(unit @ unit.T, -1, 1)
    return [(k, outer * a[:, k], rho) for k in range(top + 1)]


@_overlaps.register
def _(task: RandomPolynomial, degree: int | None) -> Overlaps:
    terms: Overlaps = [(0, np.zeros(1), np.ones((1, 1)))]
    for k in range(task.degree if degree is None else min(task.degree, degree)):
        unit = np.asarray(task.directions[k], np.float64)
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        terms.append((k + 1, np.asarray(task.weights[k], np.float64), np.clip(unit @ unit.T, -1, 1)))
    return terms


def _gegenbauer(degree: int, rho: Float[np.ndarray, "j j"], d: int) -> Float[np.ndarray, "m j j"]:
    """P_m of every cosine; on the sphere of two points, d = 1, P_m = t^m of t = ±1."""
    if d == 1:
        return np.sign(rho) ** np.arange(degree + 1)[:, None, None]
    return gegenbauer(degree, rho, d)

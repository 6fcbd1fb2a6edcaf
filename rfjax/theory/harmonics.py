"""Spherical harmonics on S^{d−1}: how many there are of each degree, and how powers of a cosine spread over degrees.

With t = ⟨w, w'⟩ and P_m the Gegenbauer polynomial, P_m(1) = 1,

    t^k = Σ_m p_k(m) P_m(t),   p_k(m) = N(d, m) c(k, m, d),   m <= k,  m ≡ k (mod 2)
    c(k, m, d) = k! Γ(d/2) / (2^k ((k−m)/2)! Γ((k+m+d)/2))

and p_k is a probability law in m: positive, summing to 1.  Host NumPy in float64, d >= 1; S⁰ is the two points ±1.
"""

import math

import numpy as np
import scipy
from jaxtyping import Float, Int

_EXACT, _EXACT_ROOT = 512, 20.0  # powers up to _EXACT + _EXACT_ROOT·√d are taken one by one, those beyond in blocks
_NODES, _BLOCK = 12, 4.0  # nodes a block, and its length in standard deviations of k given m
_REACH = 12.0  # a far power is kept on the degrees within _REACH·√k of its mode: it has nothing else that float64 sees
_LARGE = 2.0**1000  # a multiplicity beyond this is known by its logarithm


def multiplicities(d: int, degree: int) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """N(d, m) and ln N(d, m) for m = 0…degree: the number of independent harmonics of each degree.

        N(d, m) = (2m+d−2)Γ(m+d−2) / (m! Γ(d−1)),   N(d, 0) = 1,  N(d, 1) = d

    N is exact up to about 10¹² and inf past float64, where ln N goes on; both are within 1e-11 of themselves.  For
    d = 1, N = 0 and ln N = −inf from degree 2 on.
    """
    m = np.arange(degree + 1, dtype=np.float64)
    ratios = np.ones(degree + 1)
    ratios[1:2] = d
    if degree >= 2:
        n = m[2:]
        ratios[2:] = (2 * n + d - 2) * (n + d - 3) / ((2 * n + d - 4) * n)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        counts = np.cumprod(ratios)
        logs = np.log(counts)
        far = counts > _LARGE
        n = m[far]
        logs[far] = (
            np.log(2 * n + d - 2)
            + scipy.special.gammaln(n + d - 2)
            - scipy.special.gammaln(n + 1)
            - scipy.special.gammaln(d - 1)
        )
        counts[far] = np.exp(logs[far])
    return np.where(counts < 2**53, np.rint(counts), counts), logs


def power_energies(weights: Float[np.ndarray, " k"], d: int) -> Float[np.ndarray, " m"]:
    """Σ_k weights_k p_k(m) for each degree m: the energy by spherical degree of Σ_k weights_k t^k, weights >= 0.

    The low powers are exact: p_k is the k-step law of a birth–death chain started at degree 0, whose steps only add
    positive numbers,

        p_{k+1}(m+1) += p_k(m)·(m+d−2)/(2m+d−2),    p_{k+1}(m−1) += p_k(m)·m/(2m+d−2).

    The high powers go by blocks of one parity, in which p_k(m) is a smooth function of k: each block is replaced by
    the Gauss rule of its own weights, which keeps their sum, with p_k(m) in closed form at the nodes.  Energies are
    within 1e-13 of the sum of the weights, and where they are above 1e-12 of it, within 1e-10 of themselves.  The
    result stops at the last degree that carries energy, at most len(weights) − 1.
    """
    exact = min(len(weights), 1 + int(_EXACT + _EXACT_ROOT * math.sqrt(d)))
    near = _chain(weights[:exact], d)
    if len(weights) == exact:
        return near
    far = _closed_form(*_compress(weights, exact, d), d, least=exact)
    far[:exact] += near
    return far


def log_largest_share(beyond: int, degree: int, d: int) -> Float[np.ndarray, " m"]:
    """ln max_{k > beyond} c(k, m, d) for m = 0…degree: the most that a unit of far power can add to an eigenvalue.

    c(k+2, m, d) < c(k, m, d) exactly when k > m(m+d−2)/(d−1) − 2, so that the maximum is at the first k of m's parity
    that is past both.  It decreases with m.
    """
    m = np.arange(degree + 1, dtype=np.float64)
    peak = m * (m + d - 2) / (d - 1) - 2 if d > 1 else np.zeros_like(m)
    k = np.maximum(np.maximum(beyond + 1, np.floor(peak) + 1), m)
    return log_share(k + (k - m) % 2, m, d)


def _chain(weights: Float[np.ndarray, " k"], d: int) -> Float[np.ndarray, " k"]:
    """Σ_k weights_k p_k(m), step by step."""
    size = len(weights)
    m = np.arange(size, dtype=np.float64)
    total = np.maximum(2 * m + d - 2, 1.0)
    up, down = (m + d - 2) / total, m / total
    up[0] = 1.0  # the formula is 0/0 on the circle
    law, flow, energy = np.zeros(size), np.empty(size), np.zeros(size)
    law[0] = 1.0
    for k in range(size):
        energy[: k + 1] += weights[k] * law[: k + 1]
        np.multiply(law[: k + 1], down[: k + 1], out=flow[: k + 1])
        law[1 : k + 2] = (up[: k + 1] * law[: k + 1])[: size - 1]
        law[0] = 0.0
        law[:k] += flow[1 : k + 1]
    return energy


def _compress(
    weights: Float[np.ndarray, " k"], start: int, d: int
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"], Int[np.ndarray, " q"]]:
    """Nodes k that stand for the powers from `start` on, with their weights and the parity of their degrees.

    Given the degree, k varies on the scale k·√(2/d); a polynomial of degree 2·_NODES − 1 over _BLOCK such lengths is
    as good as p_k(m) itself.
    """
    ratio = 1 + min(0.4, _BLOCK * math.sqrt(2 / d))
    nodes, masses, parities = [], [], []
    low = start
    while low < len(weights):
        high = min(len(weights), max(low + 4, int(low * ratio)))
        for first in range(low, min(low + 2, high)):
            node, mass = gauss_rule(np.arange(first, high, 2, dtype=np.float64), weights[first:high:2])
            nodes.append(node)
            masses.append(mass)
            parities.append(np.full(len(node), first % 2))
        low = high
    return np.concatenate(nodes), np.concatenate(masses), np.concatenate(parities)


def gauss_rule(
    k: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"], nodes: int = _NODES
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """The Gauss rule of the discrete measure Σ weights_i δ(k_i), by Lanczos; the measure itself when it is short."""
    k, weights = k[weights > 0], weights[weights > 0]
    if len(k) <= nodes:
        return k, weights
    points, vectors = np.linalg.eigh(jacobi_matrix(k, weights, nodes))
    return points, weights.sum() * vectors[0] ** 2


def jacobi_matrix(
    k: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"], size: int
) -> Float[np.ndarray, "size size"]:
    """The recurrence of the orthonormal polynomials of the discrete measure Σ weights_i δ(k_i), by Lanczos.

    k·p_j(k) = Σ_i J_ji p_i(k) for j < size − 1.  Smaller where fewer points carry weight than asked for.
    """
    centre, half = (k[0] + k[-1]) / 2, (k[-1] - k[0]) / 2
    x = (k - centre) / half
    basis = np.zeros((size, len(k)))
    basis[0] = np.sqrt(weights / weights.sum())
    jacobi = np.zeros((size, size))
    for i in range(size):
        image = x * basis[i]
        jacobi[i, i] = basis[i] @ image
        for _ in range(2):  # twice is enough to stay orthogonal
            image -= basis[: i + 1].T @ (basis[: i + 1] @ image)
        length = np.linalg.norm(image)
        if i + 1 == size:
            break
        if length < 1e-12:
            jacobi = jacobi[: i + 1, : i + 1]
            break
        jacobi[i, i + 1] = jacobi[i + 1, i] = length
        basis[i + 1] = image / length
    return centre * np.eye(len(jacobi)) + half * jacobi


def _closed_form(
    k: Float[np.ndarray, " q"], weights: Float[np.ndarray, " q"], parity: Int[np.ndarray, " q"], d: int, *, least: int
) -> Float[np.ndarray, " m"]:
    """Σ_q weights_q p_{k_q}(m) for at least `least` degrees, each node on those of its parity near its mode."""
    # The mode solves m(m+d−2) = k(d−1), where c(k, m, d) is largest in k.
    mode = (np.sqrt((d - 2.0) ** 2 + 4 * k * (d - 1)) - (d - 2)) / 2
    low = np.maximum(0, mode - _REACH * np.sqrt(k)).astype(int)
    low += low % 2 != parity
    high = np.minimum(k, mode + _REACH * np.sqrt(k)).astype(int)
    degrees = max(least, int(high.max(initial=0)) + 1)
    _, logs = multiplicities(d, degrees - 1)
    energy = np.zeros(degrees)
    for node, weight, first, last in zip(k, weights, low, high, strict=True):
        m = np.arange(first, last + 1, 2)
        energy[m] += weight * np.exp(logs[m] + log_share(node, m, d))
    return energy


def log_share(
    k: float | Float[np.ndarray, "..."], m: int | Float[np.ndarray, "..."] | Int[np.ndarray, "..."], d: int
) -> Float[np.ndarray, "..."]:
    """ln c(k, m, d); k need not be an integer."""
    constant = scipy.special.gammaln(k + 1) + scipy.special.gammaln(d / 2) - k * math.log(2)
    return constant - scipy.special.gammaln((k - m) / 2 + 1) - scipy.special.gammaln((k + m + d) / 2)

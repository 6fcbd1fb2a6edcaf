"""Kernels as power series in the cosine: k(x, y) = Σ_n b_n(‖x‖, ‖y‖) cos(θ)^n, each coefficient to its own last digits.

A coefficient of degree 300 may be 10⁻⁶⁰⁰, so they are kept as logarithms and signs.  Between two points of one norm all
are positive (Schoenberg 1942), sums and products lose nothing, and what a series leaves out is k(x, x) − Σ b_n exactly.
"""

import math
from fractions import Fraction
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Float

from rfjax.activations import rectified_monomial
from rfjax.kernels import (
    RBF,
    ArcCosine,
    Constant,
    Exponential,
    InfiniteWidth,
    Kernel,
    Matern,
    Normalised,
    Polynomial,
    Product,
    RationalQuadratic,
    Scaled,
    Sum,
)
from rfjax.theory.angles import Norms, self_values
from rfjax.theory.propagation import network_powers

_LARGEST = 700.0  # ln of a value that float64 holds


class Powers(NamedTuple):
    """b_n = sign·e^log for n = 0…degree, a row for every pair of norms, and at each norm the sum of all b_n.

    That sum, `limit`, is k(x, y) as y comes to x: k(x, x), but for what differs between two points (Dropout's masks).
    """

    log: Float[np.ndarray, "p n"]
    sign: Float[np.ndarray, "p n"]
    limit: Float[np.ndarray, " q"]

    @classmethod
    def of(cls, values: Float[np.ndarray, "p n"], limit: Float[np.ndarray, " q"]) -> "Powers":
        """From plain numbers."""
        with np.errstate(divide="ignore"):
            return cls(np.log(np.abs(values)), np.sign(values), limit)

    @property
    def values(self) -> Float[np.ndarray, "p n"]:
        """b_n as floats; 0 where they underflow."""
        return self.sign * np.exp(self.log)


@singledispatch
def power_series(kernel: Kernel, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    """The coefficients b_0…b_degree of a kernel between points of given norms.

    `noise` adds that many units of their error to Hermite coefficients that are known from quadrature alone.

    **Raises** TypeError for a kernel that is no function of norms and angle, or not known as a power series.
    """
    raise TypeError(
        f"kernel must be a function of norms and angle whose power series is known (rf.nngp, rf.ntk, rbf, matern, "
        f"rational_quadratic, polynomial, exponential, arc_cosine, and what they make), got {type(kernel).__name__}"
    )


@power_series.register
def _(kernel: Constant, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    values = np.zeros((len(norms.left), degree + 1))
    values[:, 0] = float(kernel.value)
    return Powers.of(values, np.full_like(norms.norms, float(kernel.value)))


@power_series.register
def _(kernel: Scaled, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    inner, factor = power_series(kernel.kernel, norms, degree, noise), float(kernel.factor)
    with np.errstate(divide="ignore"):
        return Powers(inner.log + np.log(factor), inner.sign * np.sign(factor), inner.limit * factor)


@power_series.register
def _(kernel: Sum, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    one, two = (power_series(k, norms, degree, noise) for k in (kernel.left, kernel.right))
    return Powers(*log_sum(np.stack([one.log, two.log]), np.stack([one.sign, two.sign])), one.limit + two.limit)


@power_series.register
def _(kernel: Product, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    one, two = (power_series(k, norms, degree, noise) for k in (kernel.left, kernel.right))
    columns = []
    for n in range(degree + 1):
        log, sign = one.log[:, : n + 1] + two.log[:, n::-1], one.sign[:, : n + 1] * two.sign[:, n::-1]
        columns.append(log_sum(log.T, sign.T))
    log, sign = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
    return Powers(log, sign, one.limit * two.limit)


@power_series.register
def _(kernel: Normalised, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    root = np.sqrt(self_values(kernel.kernel, norms.norms, norms.d))
    if not (root > 0).all():
        raise ValueError("kernel must be positive at every point to be normalised, and is 0 at some norm")
    inner = power_series(kernel.kernel, norms, degree, noise)
    log = inner.log - np.log(root[norms.left] * root[norms.right])[:, None]
    return Powers(log, inner.sign, inner.limit / root**2)


@power_series.register
def _(kernel: RBF, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    """e^{−(r² + s²)/2ℓ²}·(rs/ℓ²)^n/n!."""
    scale, n = _scalar(kernel.length_scale), np.arange(degree + 1)
    r, s = (v[:, None] / scale for v in norms.pairs)
    log = n * np.log(r * s) - scipy.special.gammaln(n + 1) - (r**2 + s**2) / 2
    return Powers(log, np.ones_like(log), np.ones_like(norms.norms))


@power_series.register
def _(kernel: RationalQuadratic, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    """(T − Uc)^{−α} with T = 1 + (r² + s²)/2αℓ², U = rs/αℓ²: T^{−α}(U/T)^n Γ(n+α)/(Γ(α)n!)."""
    scale, alpha, n = _scalar(kernel.length_scale), float(kernel.alpha), np.arange(degree + 1)
    r, s = (v[:, None] / scale for v in norms.pairs)
    T, U = 1 + (r**2 + s**2) / (2 * alpha), r * s / alpha
    log = (
        n * np.log(U / T)
        - alpha * np.log(T)
        + scipy.special.gammaln(n + alpha)
        - scipy.special.gammaln(alpha)
        - scipy.special.gammaln(n + 1)
    )
    return Powers(log, np.ones_like(log), np.ones_like(norms.norms))


@power_series.register
def _(kernel: Matern, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    """With x = a − bc the square in the kernel's own units, y = e^{−√x} solves 4xy'' + 2y' = y, whence

    4a(n+2)(n+1)y_{n+2} = b(4n + 2)(n+1)y_{n+1} + b²y_n,   dk_p/dc = b·k_{p−1}/(4p − 2)

    in which every term is positive.
    """
    scale, p = _scalar(kernel.length_scale), int(kernel.nu)
    r, s = (v / scale for v in norms.pairs)
    a, b = 2 * kernel.nu * (r**2 + s**2), 4 * kernel.nu * r * s
    y = np.empty((len(a), degree + 2))
    y[:, 0], y[:, 1] = 1, b / (2 * np.sqrt(a))  # in units of e^{−√a}
    for n in range(degree):
        y[:, n + 2] = (b * (4 * n + 2) * (n + 1) * y[:, n + 1] + b**2 * y[:, n]) / (4 * a * (n + 1) * (n + 2))
    y = y[:, : degree + 1]
    for order in range(1, p + 1):
        y = np.roll(y, 1, axis=1) * (b / (4 * order - 2))[:, None] / np.maximum(np.arange(degree + 1), 1)
        y[:, 0] = _matern_polynomial(order, np.sqrt(a))
    powers = Powers.of(y, np.ones_like(norms.norms))
    return powers._replace(log=powers.log - np.sqrt(a)[:, None])


@power_series.register
def _(kernel: Polynomial, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    top, n = kernel.degree, np.arange(degree + 1)
    r, s = (v[:, None] for v in norms.pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where(n == top, 0.0, (top - n) * np.log(float(kernel.offset)))
        ways = (
            scipy.special.gammaln(top + 1)
            - scipy.special.gammaln(n + 1)
            - scipy.special.gammaln(np.maximum(top - n, 0) + 1)
        )
        log = np.where(n <= top, ways + n * np.log(float(kernel.scale) * r * s) + offset, -np.inf)
    limit = (float(kernel.scale) * norms.norms**2 + float(kernel.offset)) ** top
    return Powers(log, (log > -np.inf).astype(float), limit)


@power_series.register
def _(kernel: Exponential, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    """(scale·rs)^n/n!."""
    scale, n = float(kernel.scale), np.arange(degree + 1)
    largest = scale * float(norms.norms.max()) ** 2
    if largest > _LARGEST:
        raise ValueError(
            f"kernel must be finite at its points, and exp(scale·‖x‖²) is exp({largest:.4g}), past float64: a smaller scale "
            "or radius"
        )
    r, s = (v[:, None] for v in norms.pairs)
    log = n * np.log(scale * r * s) - scipy.special.gammaln(n + 1)
    return Powers(log, np.ones_like(log), np.exp(scale * norms.norms**2))


@power_series.register
def _(kernel: ArcCosine, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    r, s = (v[:, None] for v in norms.pairs)
    a = rectified_monomial(kernel.order).hermite_coefficients(degree)
    limit = norms.norms ** (2 * kernel.order) * math.prod(range(1, 2 * kernel.order, 2))
    return Powers.of(2 * (r * s) ** kernel.order * a**2, limit)


@power_series.register
def _(kernel: InfiniteWidth, norms: Norms, degree: int, noise: float = 0.0) -> Powers:
    return Powers.of(*network_powers(kernel, norms.norms, (norms.left, norms.right), norms.d, degree, noise))


def homogeneity(kernel: Kernel) -> float | None:
    """The p of k(x, y) = (‖x‖‖y‖)^p f(cos θ), where the kernel is of that form."""
    match kernel:
        case Constant() | Normalised():
            inner = 0.0 if isinstance(kernel, Constant) else homogeneity(kernel.kernel)
            return None if inner is None else 0.0
        case Scaled():
            return homogeneity(kernel.kernel)
        case Sum():
            one, two = homogeneity(kernel.left), homogeneity(kernel.right)
            return one if one == two else None
        case Product():
            one, two = homogeneity(kernel.left), homogeneity(kernel.right)
            return None if one is None or two is None else one + two
        case Polynomial():
            return float(kernel.degree) if float(kernel.offset) == 0 else None
        case ArcCosine():
            return float(kernel.order)
        case InfiniteWidth():
            return kernel.network.homogeneity(1.0)
    return None


def _scalar(length_scale: Any) -> float:
    """One length scale.  Raises TypeError for one a column, with which a kernel is no function of the angle."""
    if np.ndim(length_scale):
        raise TypeError(
            f"kernel must be a function of norms and angle, got one with a length scale a column ({np.size(length_scale)})"
        )
    return float(length_scale)


def _matern_polynomial(p: int, r: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
    """The Matérn kernel of ν = p + ½ times e^r: p!/(2p)!·Σ_i (p+i)!/(i!(p−i)!)·(2r)^{p−i}."""
    f = math.factorial
    ways = [Fraction(f(p) * f(p + i) * 2 ** (p - i), f(2 * p) * f(i) * f(p - i)) for i in range(p + 1)]
    return np.polyval([float(w) for w in ways], r)


def log_sum(
    log: Float[np.ndarray, "t ..."], sign: Float[np.ndarray, "t ..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Σ_t sign_t e^{log_t} over the first axis, as logarithm and sign."""
    top = log.max(axis=0)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.sum(sign * np.exp(log - top), axis=0)
    with np.errstate(divide="ignore"):
        return np.log(np.abs(total)) + top, np.sign(total)

"""The infinite-width reading of a network on power series: its NNGP and NTK as Σ_n b_n cos(θ)^n.

An activation maps the covariance by its dual Σ_k a_k(√q11)a_k(√q22)ρ^k, a power series of a power series.  At equal
norms all its terms are positive, whatever the depth.
"""

import math
from dataclasses import dataclass, replace
from functools import partial, reduce, singledispatch
from operator import add

import numpy as np
from jaxtyping import Float, Int

from rfjax.activations import Nonlinearity, Quadrature, Threshold
from rfjax.activations.base import differentiated, graded_breaks, host_values
from rfjax.kernels import InfiniteWidth
from rfjax.networks import Activation, Dense, Dropout, Layer, LayerNorm, Parallel, Repeat, Residual, Serial
from rfjax.numerics import gaussian_quadrature

_CLOSED, _TABLE = 2**15, 2**11  # Hermite degrees, in closed form and from a table by quadrature
_NEGLIGIBLE = 45.0  # −ln of the part of a coefficient that the Hermite degrees left out may add
_SEVERAL, _ROUNDED = 1e-7, 1e-13  # of E σ², what they may hold: between points of several norms, and of one
_UNITS = 8  # of rounding, in a Hermite coefficient by quadrature

Pairs = tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]


class HermiteError(ValueError):
    """More Hermite coefficients of an activation are needed than are known."""


@dataclass(frozen=True)
class Flow:
    """What flows through the network: E uv and the NTK, as power series for each pair of norms, and their sums.

    `variance` is E u² at each norm; `cross_limit` and `ntk_limit` are E uv and the NTK as y comes to x.
    """

    variance: Float[np.ndarray, " q"]
    cross: Float[np.ndarray, "p n"]
    ntk: Float[np.ndarray, "p n"]
    cross_limit: Float[np.ndarray, " q"]
    ntk_limit: Float[np.ndarray, " q"]
    units: int
    pairs: Pairs
    noise: float


def network_powers(
    kernel: InfiniteWidth, norms: Float[np.ndarray, " q"], pairs: Pairs, d: int, degree: int, noise: float
) -> tuple[Float[np.ndarray, "p n"], Float[np.ndarray, " q"]]:
    """b_0…b_degree of the network's NNGP or NTK between points of norms[pairs[0]] and norms[pairs[1]], and its limits."""
    left, right = pairs
    cross = np.zeros((len(left), degree + 1))
    cross[:, 1:2] = (norms[left] * norms[right] / d)[:, None]
    square = norms**2 / d
    start = Flow(square, cross, np.zeros_like(cross), square, np.zeros_like(square), d, pairs, noise)
    flow = through(kernel.network, start)
    return (flow.cross, flow.cross_limit) if kernel.reading == "nngp" else (flow.ntk, flow.ntk_limit)


@singledispatch
def through(layer: Layer, flow: Flow) -> Flow:
    """The flow after a layer.  Raises TypeError for a layer whose power series is not known."""
    raise TypeError(
        f"kernel must be of a network of rfjax's own layers to have a power series, got {type(layer).__name__}"
    )


@through.register
def _(layer: Serial, flow: Flow) -> Flow:
    return reduce(lambda state, inner: through(inner, state), layer.layers, flow)


@through.register
def _(layer: Repeat, flow: Flow) -> Flow:
    for _ in range(layer.times):
        flow = through(layer.layer, flow)
    return flow


@through.register
def _(layer: Parallel, flow: Flow) -> Flow:
    return _sum([through(branch, flow) for branch in layer.branches])


@through.register
def _(layer: Residual, flow: Flow) -> Flow:
    after = through(layer.branch, flow)
    return replace(_sum([flow, after]), units=after.units)


@through.register
def _(layer: Dense, flow: Flow) -> Flow:
    weight, bias = float(layer.w_std) ** 2, float(layer.b_std) ** 2
    one = np.eye(1, flow.cross.shape[1])
    own, constant = (flow.units, float(layer.has_bias)) if layer.parameterization == "standard" else (weight, bias)
    return replace(
        flow,
        variance=weight * flow.variance + bias,
        cross=weight * flow.cross + bias * one,
        ntk=own * flow.cross + constant * one + weight * flow.ntk,
        cross_limit=weight * flow.cross_limit + bias,
        ntk_limit=own * flow.cross_limit + constant + weight * flow.ntk_limit,
        units=layer.width,
    )


@through.register
def _(layer: Dropout, flow: Flow) -> Flow:
    return replace(flow, variance=flow.variance / (1 - float(layer.rate)))


@through.register
def _(layer: LayerNorm, flow: Flow) -> Flow:
    root = np.sqrt(flow.variance + float(layer.eps))
    scale = (root[flow.pairs[0]] * root[flow.pairs[1]])[:, None]
    return replace(
        flow,
        variance=flow.variance / root**2,
        cross=flow.cross / scale,
        ntk=flow.ntk / scale,
        cross_limit=flow.cross_limit / root**2,
        ntk_limit=flow.ntk_limit / root**2,
    )


@through.register
def _(layer: Activation, flow: Flow) -> Flow:
    function, std = layer.function, np.sqrt(flow.variance)
    if not (std > 0).all():
        raise ValueError("kernel must be of a network whose units vary: one of its layers has w_std = b_std = 0")
    left, right = flow.pairs
    scale = std[left] * std[right]
    correlation = flow.cross / scale[:, None]
    a = _all_coefficients(function, std, _hermite_degree(correlation, _missing(flow)), flow)
    k, smooth = np.arange(a.shape[1]), _continuous(function)
    dual = a[left] * a[right]
    slope = smooth * np.roll(k * dual / scale[:, None], -1, axis=1)
    outer = np.stack([dual, slope], axis=1)
    cross, derivative = np.moveaxis(np.stack([_compose(o, u) for o, u in zip(outer, correlation, strict=True)]), 1, 0)
    limits = [
        _limit(function, row, s, rho, smooth)
        for row, s, rho in zip(a, std, flow.cross_limit / flow.variance, strict=True)
    ]
    cross_limit, slope_limit = np.transpose(limits)
    return replace(
        flow,
        variance=np.array([function.moments(scale=float(s))[1] for s in std]),
        cross=cross,
        ntk=np.stack([_multiply(x, y) for x, y in zip(derivative, flow.ntk, strict=True)]),
        cross_limit=cross_limit,
        ntk_limit=slope_limit * flow.ntk_limit,
    )


def _sum(flows: list[Flow]) -> Flow:
    added = ("variance", "cross", "ntk", "cross_limit", "ntk_limit")
    return replace(flows[0], **{name: reduce(add, [getattr(flow, name) for flow in flows]) for name in added})


def _all_coefficients(
    function: Nonlinearity, std: Float[np.ndarray, " q"], degree: int, flow: Flow
) -> Float[np.ndarray, "q k"]:
    """a_k of σ(std·z), to the degree that is needed or beyond which they are rounding.

    **Raises** HermiteError where those left out would matter.  Between points of several norms, of which some are near 0,
    they may hold up to 1e-7 of E σ².
    """
    if not isinstance(function, Quadrature):
        a = np.stack([function.hermite_coefficients(min(degree, _CLOSED), scale=float(s)) for s in std])
        if degree > _CLOSED:
            _require_small(function, std, a, degree)
        return a
    for top in (min(degree, t) for t in (_TABLE // 4, _TABLE)):
        a = np.stack([_quadrature(function, top, float(s), 0.0) for s in std])
        if top == degree or not a[:, top // 2 :].any():
            break
    else:
        _require_small(function, std, a, degree)
    return np.stack([_quadrature(function, top, float(s), flow.noise) for s in std]) if flow.noise else a


def _require_small(
    function: Nonlinearity, std: Float[np.ndarray, " q"], a: Float[np.ndarray, "q k"], degree: int
) -> None:
    """Raise HermiteError where Hermite coefficients beyond those known hold a part of E σ² that matters."""
    least = _SEVERAL if len(std) > 1 else _ROUNDED
    squares = [function.moments(scale=float(s))[1] for s in std]
    rest = max(1 - float(row @ row) / square for row, square in zip(a, squares, strict=True))
    if rest > least:
        raise HermiteError(
            f"degree must be lower for this kernel: it needs the Hermite coefficients of an activation to degree {degree}, "
            f"and those beyond {a.shape[1] - 1} hold a remainder of {rest:.3g} of its energy"
        )


def _quadrature(function: Quadrature, degree: int, scale: float, noise: float) -> Float[np.ndarray, " k"]:
    """a_k by quadrature: 0 below their rounding, and `noise` units of it larger."""
    a = function.hermite_coefficients(degree, scale=scale)
    unit = _UNITS * float(np.finfo(np.float64).eps) * math.sqrt(function.moments(scale=scale)[1])
    return np.where(np.abs(a) > unit, a, 0.0) + noise * unit * np.where(a < 0, -1, 1)


def _continuous(function: Nonlinearity) -> float:
    """1 where σ is continuous, so that E σ'σ' is the derivative of its dual; 0 for steps, whose σ' is 0.

    **Raises** ValueError for other functions with a jump.
    """
    if isinstance(function, Threshold):
        return 0.0
    if isinstance(function, Quadrature):
        sides = host_values(function, np.array(function.breaks) + np.array([[-1e-6], [1e-6]]))
        if np.abs(np.diff(sides, axis=0)).max(initial=0) > 1e-3 * math.sqrt(function.moments()[1]):
            raise ValueError("kernel must be of a network of continuous activations (or steps): one has a jump")
    return 1.0


def _limit(function: Nonlinearity, a: Float[np.ndarray, " k"], std: float, rho: float, smooth: float) -> list[float]:
    """E σσ and E σ'σ' between units of one variance and of correlation rho, as y comes to x."""
    if rho < 1 - 1e-9:  # as Dropout makes it
        power = rho ** np.arange(len(a))
        return [a**2 @ power, smooth * (np.arange(1, len(a)) * a[1:] ** 2 @ power[:-1]) / std**2]
    square = function.moments(scale=float(std))[1]
    if function.relu_slopes is not None:
        return [square, sum(slope**2 for slope in function.relu_slopes) / 2]
    z, weights = gaussian_quadrature(breaks=graded_breaks(function.centres, std, 0.0))
    slope = host_values(partial(differentiated, function), std * z)
    return [square, float(weights @ slope**2)]


def _missing(flow: Flow) -> Float[np.ndarray, " p"]:
    """Of the correlation of each pair, a bound on the sum of the coefficients that are not kept (Cauchy–Schwarz)."""
    left, right = flow.pairs
    rest = np.empty_like(flow.variance)
    rest[left[left == right]] = flow.cross[left == right].sum(axis=1)
    rest = np.sqrt(np.maximum(flow.cross_limit - rest, 0.0) / flow.variance)
    return rest[left] * rest[right]


def _hermite_degree(correlation: Float[np.ndarray, "p n"], missing: Float[np.ndarray, " p"]) -> int:
    """The Hermite degree beyond which Σ_k a_k²u(c)^k adds nothing to the powers of c that are kept, u a correlation.

    The powers 0…D of u^k have at most the sum u(s)^k s^{−D}, for every 0 < s < 1.
    """
    top = correlation.shape[1] - 1
    if not correlation[:, 0].any():
        return max(top, 1)
    s = np.concatenate([np.linspace(0.1, 0.9, 17), 1 - np.geomspace(0.08, 0.001, 12)])
    value = np.abs(correlation) @ s ** np.arange(top + 1)[:, None] + missing[:, None] * s ** (top + 1)
    with np.errstate(divide="ignore"):
        needed = (_NEGLIGIBLE - top * np.log(s)) / -np.log(np.minimum(value, 1.0))
    return int(min(np.max(np.min(needed, axis=1)) + 1, 2**30))


def _compose(outer: Float[np.ndarray, "o k"], u: Float[np.ndarray, " n"]) -> Float[np.ndarray, "o n"]:
    """Σ_k outer_k u^k as power series, by blocks of about √k powers (Paterson & Stockmeyer 1973)."""
    size, degree = len(u), outer.shape[1] - 1
    if np.count_nonzero(u) == 1 and size > 1 and u[1] != 0:  # u is a multiple of c itself
        with np.errstate(under="ignore"):
            return np.pad(outer, ((0, 0), (0, max(size - degree - 1, 0))))[:, :size] * u[1] ** np.arange(size)
    block = math.isqrt(degree) + 1
    powers = np.zeros((block + 1, size))
    powers[0, 0] = 1.0
    for k in range(block):
        powers[k + 1] = _multiply(powers[k], u)
    count = -(-(degree + 1) // block)
    blocks = np.pad(outer, ((0, 0), (0, count * block - degree - 1))).reshape(len(outer), count, block) @ powers[:block]
    total = blocks[:, -1]
    for i in range(count - 2, -1, -1):
        total = blocks[:, i] + np.stack([_multiply(row, powers[block]) for row in total])
    return total


def _multiply(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The product of two power series, term by term: a fast transform would lose the small coefficients."""
    return np.convolve(a, b)[: len(a)]

"""Kernels of norms and angles as power series in the cosine, on the host, whatever the depth of their network.

A kernel that rotations leave alone is k(x, y) = f(‖x‖, ‖y‖, c), and for all that are known here f is a power series in
the cosine c with positive semi-definite coefficients (Schoenberg 1942).  A layer acts on it point by point, on the unit
circle as well as on [−1, 1], so that the values at roots of unity and one Fourier transform give the coefficients.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from rfjax import checks
from rfjax.activations import Nonlinearity, Threshold, rectified_monomial
from rfjax.kernels import ArcCosine, Constant, InfiniteWidth, Kernel, Normalised, Polynomial, Product, Scaled, Sum
from rfjax.networks import Activation, Dense, Layer, LayerNorm, Parallel, Repeat, Residual, Serial
from rfjax.numerics import in_float64

TERMS = 512  # powers of the cosine; those beyond are counted with the power that they are modulo this one
_DUAL = 256  # Hermite coefficients of an activation, before its even and its odd remainder

Values = Complex[np.ndarray, "s s c"]


class NoSeriesError(TypeError):
    """The kernel is not known as a power series in the cosine."""


def power_series(kernel: Kernel, norms: Float[np.ndarray, " s"], d: int) -> Float[np.ndarray, "k s s"]:
    """A with k(x, y) = Σ_k A_k[i, j]·c^k for ‖x‖ = norms[i], ‖y‖ = norms[j] and cosine c.

    **Raises** NoSeriesError for kernels and layers that have none.
    """
    circle = np.exp(-2j * np.pi * np.arange(TERMS // 2 + 1) / TERMS)
    return np.moveaxis(np.fft.irfft(_values(kernel, norms, d, circle), TERMS), -1, 0)


def _values(kernel: Kernel, norms: Float[np.ndarray, " s"], d: int, c: Complex[np.ndarray, " c"]) -> Values:
    """k at pairs of norms, continued to complex cosines."""
    go = partial(_values, norms=norms, d=d, c=c)
    product = np.multiply.outer(norms, norms)[..., None]
    match kernel:
        case InfiniteWidth(network=network, reading=reading):
            moments = np.multiply.outer(norms, norms)[..., None] / d * c
            state = _propagate(network, _State(moments, norms**2 / d, np.zeros_like(moments), d))
            return state.q if reading == "nngp" else state.ntk
        case Polynomial(degree=degree, scale=scale, offset=offset):
            return (_known(scale) * product * c + _known(offset)) ** degree
        case ArcCosine(order=order):
            return 2 * _dual(rectified_monomial(order), product * c, norms**2)
        case Constant(value=value):
            return np.full((*product.shape[:2], len(c)), _known(value), complex)
        case Scaled(factor=factor, kernel=inner):
            return _known(factor) * go(inner)
        case Sum(left=left, right=right):
            return go(left) + go(right)
        case Product(left=left, right=right):
            return go(left) * go(right)
        case Normalised(kernel=inner):
            root = np.sqrt(np.diagonal(_values(inner, norms, d, np.ones(1, complex))[..., 0]).real)
            return go(inner) / np.multiply.outer(root, root)[..., None]
    raise NoSeriesError(f"{type(kernel).__name__} is not known as a function of norms and angle")


@dataclass(frozen=True)
class _State:
    """`networks.State` at complex cosines: second moments q of a unit, its variances, the tangent kernel."""

    q: Values
    own: Float[np.ndarray, " s"]
    ntk: Values
    units: int

    def __add__(self, other: "_State") -> "_State":
        return _State(self.q + other.q, self.own + other.own, self.ntk + other.ntk, other.units)


def _propagate(layer: Layer, state: _State) -> _State:
    match layer:
        case Serial(layers=layers):
            for inner in layers:
                state = _propagate(inner, state)
            return state
        case Repeat(layer=inner, times=times):
            for _ in range(times):
                state = _propagate(inner, state)
            return state
        case Residual(branch=branch):
            return state + _propagate(branch, state)
        case Parallel(branches=branches):
            first, *others = (_propagate(branch, state) for branch in branches)
            return sum(others, start=first)
        case Dense():
            weight, bias = _known(layer.w_std) ** 2, _known(layer.b_std) ** 2
            q = weight * state.q + bias
            new = state.units * state.q + layer.has_bias if layer.parameterization == "standard" else q
            return _State(q, weight * state.own + bias, new + weight * state.ntk, layer.width)
        case Activation(function=function):
            slope = _slope_dual(function, state.q, state.own)
            q = _dual(function, state.q, state.own)
            return replace(state, q=q, own=_at(function.dual, state.own, 1), ntk=slope * state.ntk)
        case LayerNorm(eps=eps):
            total = state.own + _known(eps)
            root = np.sqrt(np.multiply.outer(total, total))[..., None]
            return replace(state, q=state.q / root, own=state.own / total, ntk=state.ntk / root)
    raise NoSeriesError(f"a network with {type(layer).__name__} is not known as a function of norms and angle")


def _dual(function: Nonlinearity, q: Values, own: Float[np.ndarray, " s"]) -> Values:
    """E σ(u)σ(v)."""
    a = np.array([function.hermite_coefficients(_DUAL, scale=math.sqrt(v)) for v in own]).T
    return _series(a, [_at(function.dual, own, sign) for sign in (1, -1)], q, own)


def _slope_dual(function: Nonlinearity, q: Values, own: Float[np.ndarray, " s"]) -> Values:
    """E σ'(u)σ'(v), by E σ'(sz)h_k(z) = √(k+1)·E σ(sz)h_{k+1}(z)/s."""
    if isinstance(function, Threshold):
        return np.zeros_like(q)
    a = np.array([function.hermite_coefficients(_DUAL + 1, scale=math.sqrt(v)) / math.sqrt(v) for v in own]).T
    slope = np.sqrt(np.arange(1, _DUAL + 2))[:, None] * a[1:]
    return _series(slope, [_at(function.derivative_dual, own, sign) for sign in (1, -1)], q, own)


def _series(
    a: Float[np.ndarray, "k s"], ends: list[Float[np.ndarray, " s"]], q: Values, own: Float[np.ndarray, " s"]
) -> Values:
    """Σ_k a_k[i]·a_k[j]·ρ^k for ρ = q/√(own own), and what is beyond as two more powers, right at ρ = ±1."""
    even = np.sqrt(np.maximum((ends[0] + ends[1]) / 2 - (a[::2] ** 2).sum(axis=0), 0))
    odd = np.sqrt(np.maximum((ends[0] - ends[1]) / 2 - (a[1::2] ** 2).sum(axis=0), 0))
    rest = [odd, even] if len(a) % 2 else [even, odd]
    rho = q / np.sqrt(np.multiply.outer(own, own))[..., None]
    total = np.zeros_like(rho)
    for row in [*a, *rest][::-1]:
        total = total * rho + np.multiply.outer(row, row)[..., None]
    return total


def _at(dual: Any, own: Float[np.ndarray, " s"], sign: int) -> Float[np.ndarray, " s"]:
    """A dual at u = ±v."""
    with in_float64():
        variance = jnp.asarray(own)
        return np.asarray(dual(variance, sign * variance, variance), np.float64)


def _known(value: Any) -> float:
    if checks.is_traced(value):
        raise TypeError(
            "the hyperparameters of the kernel must be known numbers, not tracers: make features outside jit"
        )
    return float(value)

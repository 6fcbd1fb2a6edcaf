"""Nonlinearities: σ with its Gaussian dual, its derivative's dual and its Hermite coefficients.

rf.activations.relu, leaky_relu(0.1), abs, identity, step, sign, rectified_monomial(2)
rf.activations.erf, sigmoid_like, gelu, sin, cos, rbf(1.0), gaussian, gabor, exp(0.5)
rf.activations.monomial(3), polynomial([1, 0, 2]), hermite(4)
rf.activations.tanh, sigmoid, silu, softplus, elu, selu, mish      by Hermite series, to 1e-7 (see `Quadrature`)
rf.activations.from_function(jnp.sinc)          any other, likewise
"""

import builtins as _builtins
import math as _math
from collections.abc import Callable, Sequence

import jax
from jaxtyping import Array

from rfjax import checks as _checks
from rfjax.activations.base import Nonlinearity
from rfjax.activations.bumps import Gabor, Gaussian
from rfjax.activations.erf import Erf
from rfjax.activations.exponential import Exponential
from rfjax.activations.gelu import GELU
from rfjax.activations.piecewise import LeakyReLU, Threshold
from rfjax.activations.polynomial import Polynomial
from rfjax.activations.quadrature import Quadrature
from rfjax.activations.rectified import RectifiedMonomial
from rfjax.activations.smooth import Smooth
from rfjax.activations.waves import Wave

relu = LeakyReLU(0.0)
abs = LeakyReLU(-1.0)  # the field's name; Python's own is out of sight in this module alone
identity = LeakyReLU(1.0)
step = Threshold(0.0, 1.0)
sign = Threshold(-1.0, 1.0)  # 1 at 0, where jnp.sign is 0: no Gaussian is there
erf = Erf()
sigmoid_like = Erf(height=0.5, width=2.4020563531719796, offset=0.5)
gelu = GELU()
sin = Wave(1.0, 0.0)
cos = Wave(0.0, 1.0)
gaussian = Gaussian()
gabor = Gabor()
tanh, sigmoid, silu, softplus, elu, selu, mish = map(
    Quadrature,
    (jax.numpy.tanh, jax.nn.sigmoid, jax.nn.silu, jax.nn.softplus, jax.nn.elu, jax.nn.selu, jax.nn.mish),
)


def leaky_relu(slope: float) -> LeakyReLU:
    """x for x >= 0 and slope·x below.  Raises TypeError unless `slope` is a number."""
    return LeakyReLU(float(_checks.number("slope", slope)))


def rbf(gamma: float) -> Wave:
    """√2·sin(√(2γ)x + π/4), whose dual is e^{−γE(u−v)²}.  Raises ValueError for a negative `gamma`."""
    return Wave(1.0, 1.0, _math.sqrt(2 * float(_checks.number("gamma", gamma, least=0.0))))


def exp(rate: float) -> Exponential:
    """e^{rate·x}.  Raises TypeError unless `rate` is a number."""
    return Exponential(float(_checks.number("rate", rate)))


def monomial(order: int) -> Polynomial:
    """x^order.  Raises ValueError for a negative order."""
    return Polynomial((0.0,) * _checks.count("order", order, least=0) + (1.0,))


def rectified_monomial(order: int) -> Nonlinearity:
    """x^order for x >= 0 and 0 below: `step` at order 0, `relu` at order 1.  Raises ValueError for a negative order."""
    order = _checks.count("order", order, least=0)
    return (step, relu)[order] if order < 2 else RectifiedMonomial(order)


def polynomial(coefficients: Sequence[float]) -> Polynomial:
    """c₀ + c₁x + c₂x² + … for coefficients [c₀, c₁, c₂, …].  Raises ValueError when there are none."""
    if len(coefficients) == 0:
        raise ValueError("coefficients must be one number or more, got none")
    return Polynomial(tuple(float(_checks.number("coefficients", c)) for c in coefficients))


def hermite(degree: int) -> Polynomial:
    """The normalised Hermite polynomial He_degree(x)/√degree!.  Raises ValueError for a negative degree."""
    degree = _checks.count("degree", degree, least=0)
    return Polynomial((0.0,) * degree + (1 / _math.sqrt(_math.factorial(degree)),), variance=1.0)


def from_function(
    function: Callable[[Array], Array], *, breaks: tuple[float, ...] = (0.0,), terms: int = 128
) -> Nonlinearity:
    """Any elementwise function that JAX traces, such as `jnp.sinc`, with duals by quadrature (see `Quadrature`).

    `breaks` are the points where it has a kink or a jump; `terms` the length of the Hermite series of its dual.
    Functions that are a member of this module already come back as that member.

    **Raises** TypeError when `function` is not callable, or not hashable.
    """
    if isinstance(function, Nonlinearity):
        return function
    if not callable(function):
        raise TypeError(f"an activation must be a member of rf.activations or a function, got {function!r}")
    try:
        hash(function)
    except TypeError as error:
        raise TypeError(
            f"an activation must be hashable, to be compiled once, and {type(function).__name__} objects are not: define "
            "__hash__, or name a function that calls it"
        ) from error
    if function in _KNOWN:
        return _KNOWN[function]
    return Quadrature(function, tuple(float(b) for b in breaks), _checks.count("terms", terms, least=2))


_KNOWN: dict[Callable[..., Array], Nonlinearity] = {
    jax.nn.relu: relu,
    jax.nn.leaky_relu: leaky_relu(0.01),  # its default slope
    jax.lax.erf: erf,
    jax.scipy.special.erf: erf,
    jax.numpy.abs: abs,
    _builtins.abs: abs,
    jax.numpy.sign: sign,
    jax.numpy.sin: sin,
    jax.lax.sin: sin,
    jax.numpy.cos: cos,
    jax.lax.cos: cos,
    jax.numpy.exp: exp(1.0),
    jax.lax.exp: exp(1.0),
    jax.numpy.square: monomial(2),
}

__all__ = [
    "GELU",
    "Erf",
    "Exponential",
    "Gabor",
    "Gaussian",
    "LeakyReLU",
    "Nonlinearity",
    "Polynomial",
    "Quadrature",
    "RectifiedMonomial",
    "Smooth",
    "Threshold",
    "Wave",
    "abs",
    "cos",
    "elu",
    "erf",
    "exp",
    "from_function",
    "gabor",
    "gaussian",
    "gelu",
    "hermite",
    "identity",
    "leaky_relu",
    "mish",
    "monomial",
    "polynomial",
    "rbf",
    "rectified_monomial",
    "relu",
    "selu",
    "sigmoid",
    "sigmoid_like",
    "sign",
    "silu",
    "sin",
    "softplus",
    "step",
    "tanh",
]

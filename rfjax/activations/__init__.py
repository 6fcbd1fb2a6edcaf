"""Nonlinearities: σ with its Gaussian dual, its derivative's dual and its Hermite coefficients.

rf.activations.relu, leaky_relu(0.1), abs, identity, step, sign, erf, sigmoid_like
rf.activations.from_function(jnp.tanh)          any other, by quadrature
"""

import builtins as _builtins
from collections.abc import Callable

import jax
from jaxtyping import Array

from rfjax import checks as _checks
from rfjax.activations.base import Nonlinearity
from rfjax.activations.erf import Erf
from rfjax.activations.piecewise import LeakyReLU, Threshold
from rfjax.activations.quadrature import Quadrature

relu = LeakyReLU(0.0)
abs = LeakyReLU(-1.0)  # the field's name; Python's own is out of sight in this module alone
identity = LeakyReLU(1.0)
step = Threshold(0.0, 1.0)
sign = Threshold(-1.0, 1.0)
erf = Erf()
sigmoid_like = Erf(height=0.5, width=2.4020563531719796, offset=0.5)


def leaky_relu(slope: float) -> LeakyReLU:
    """x for x >= 0 and slope·x below.  Raises TypeError unless `slope` is a number."""
    return LeakyReLU(float(_checks.number("slope", slope)))


def from_function(
    function: Callable[[Array], Array], *, breaks: tuple[float, ...] = (0.0,), terms: int = 128
) -> Nonlinearity:
    """Any elementwise function that JAX traces, such as `jnp.tanh`, with duals by quadrature (see `Quadrature`).

    `breaks` are the points where it has a kink or a jump; `terms` the length of the Hermite series of its dual.
    Functions that are a member of this module already come back as that member.

    **Raises** TypeError when `function` is not callable.
    """
    if isinstance(function, Nonlinearity):
        return function
    if not callable(function):
        raise TypeError(f"an activation must be a member of rf.activations or a function, got {function!r}")
    known = {jax.nn.relu: relu, jax.lax.erf: erf, jax.scipy.special.erf: erf, jax.numpy.abs: abs, _builtins.abs: abs}
    if function in known:
        return known[function]
    return Quadrature(function, tuple(float(b) for b in breaks), _checks.count("terms", terms, least=2))


__all__ = [
    "Erf",
    "LeakyReLU",
    "Nonlinearity",
    "Quadrature",
    "Threshold",
    "abs",
    "erf",
    "from_function",
    "identity",
    "leaky_relu",
    "relu",
    "sigmoid_like",
    "sign",
    "step",
]

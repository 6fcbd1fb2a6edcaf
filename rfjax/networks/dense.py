"""Fully connected layers and elementwise nonlinearities."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.activations import Nonlinearity, from_function
from rfjax.networks.base import Layer, Params, State, require_gaussian
from rfjax.numerics import gram

Std = Float[Array, ""] | float
PARAMETERIZATIONS = ("ntk", "standard", "mean_field", "mup", "mup_readout")


class Dense(Layer):
    """A fully connected layer of `width` units, z = A·W h + B·b, whose parameterisation says A, B and how W and b are drawn.

                     A                      W                        B             b
        ntk          w_std/√fan_in          N(0, 1)                  b_std         N(0, 1)
        standard     1                      N(0, w_std²/fan_in)      1             N(0, b_std²)
        mean_field   w_std/fan_in           N(0, 1)                  b_std         N(0, 1)
        mup          w_std·√(width/fan_in)  N(0, 1/width)            b_std·√width  N(0, 1/width)
        mup_readout  w_std/√fan_in          N(0, 1/fan_in)           b_std         N(0, 1)

    One learning rate of SGD moves A·W at A² times itself: the factors are the learning rates of the layers, so that any
    optimiser serves as it is (the abc-parameterisation of Yang & Hu 2021, whose maximal-update row is mup, with
    mup_readout for the last layer).  Adam, which forgets the scale of gradients, moves A·W at A times its rate.

    Infinite width, with q the NNGP and Θ the NTK before the layer:

        q' = w_std² q + b_std²
        Θ' = q' + w_std² Θ                                  ntk     (Jacot, Gabriel & Hongler 2018)
        Θ' = fan_in·q + [bias] + w_std² Θ                   standard (Sohl-Dickstein et al. 2020)

    Mean-field and mup layers have finite readings only.  With b_std = 0 there is no bias parameter.  Parameters:
    {"weight": [width, fan_in], "bias": [width]}.  `w_std` and `b_std` are leaves: they differentiate.

    **Raises** ValueError for a width below 1, a negative or infinite std or an unknown parameterisation.
    """

    width: int = eqx.field(static=True)
    w_std: Float[Array, ""] | float
    b_std: Float[Array, ""] | float
    parameterization: str = eqx.field(static=True)
    has_bias: bool = eqx.field(static=True)

    def __init__(
        self,
        width: int,
        w_std: Float[Array, ""] | float = 1.0,
        b_std: Float[Array, ""] | float = 0.0,
        *,
        parameterization: str = "ntk",
    ):
        self.width = checks.count("width", width)
        self.w_std = checks.number("w_std", w_std, least=0.0)
        self.b_std = checks.number("b_std", b_std, least=0.0)
        self.parameterization = checks.choice("parameterization", parameterization, PARAMETERIZATIONS)
        self.has_bias = not (isinstance(b_std, (int, float, np.number)) and b_std == 0)

    def multipliers(self, fan_in: int) -> tuple[Std, Std]:
        """(A, B) of z = A·W h + B·b."""
        match self.parameterization:
            case "standard":
                return 1.0, 1.0
            case "mean_field":
                return self.w_std / fan_in, self.b_std
            case "mup":
                return self.w_std * math.sqrt(self.width / fan_in), self.b_std * math.sqrt(self.width)
            case _:
                return self.w_std / math.sqrt(fan_in), self.b_std

    def spreads(self, fan_in: int) -> tuple[Std, Std]:
        """The standard deviations that W and b are drawn with."""
        match self.parameterization:
            case "standard":
                return self.w_std / math.sqrt(fan_in), self.b_std
            case "mup":
                return 1 / math.sqrt(self.width), 1 / math.sqrt(self.width)
            case "mup_readout":
                return 1 / math.sqrt(fan_in), 1.0
            case _:
                return 1.0, 1.0

    def scales(self, fan_in: int) -> tuple[Std, Std]:
        """The factors of ⟨w, h⟩ and b in one output where both have unit variance: multipliers times spreads."""
        (a, b), (w, v) = self.multipliers(fan_in), self.spreads(fan_in)
        return a * w, b * v

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        weight_key, bias_key = jax.random.split(key)
        weight, bias = self.spreads(in_dim)
        params = {"weight": jax.random.normal(weight_key, (self.width, in_dim)) * weight}
        if self.has_bias:
            params["bias"] = jax.random.normal(bias_key, (self.width,)) * bias
        return params

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n out"]:
        fan_in = params["weight"].shape[1]
        if X.shape[1] != fan_in:
            raise ValueError(f"X must have {fan_in} columns for these parameters, got shape {list(X.shape)}")
        weight, bias = self.multipliers(fan_in)
        z = gram(X, params["weight"]) * weight
        return z + params["bias"] * bias if self.has_bias else z

    def features(self, h: Float[Array, "n in"]) -> Float[Array, "n p"]:
        """φ with E φ(x)·φ(y) over the layers before = this layer's NNGP: `scales` times [h, 1], p = fan_in + [bias].

        An output is φ times (weight, bias), once each is divided by its spread at the start.
        """
        return self._columns(h, *self.scales(h.shape[1]))

    def gradient_features(self, h: Float[Array, "n in"]) -> Float[Array, "n p"]:
        """∂z/∂(weight, bias) of one unit: `multipliers` times [h, 1]."""
        return self._columns(h, *self.multipliers(h.shape[1]))

    def _columns(self, h: Float[Array, "n in"], weight: Any, bias: Any) -> Float[Array, "n p"]:
        if not self.has_bias:
            return h * weight
        return jnp.concatenate([h * weight, jnp.broadcast_to(jnp.asarray(bias, h.dtype), (h.shape[0], 1))], axis=1)

    def _propagate(self, state: State) -> State:
        if self.parameterization not in ("ntk", "standard"):
            name = self.parameterization.removesuffix("_readout")
            raise ValueError(
                f"a {name} network has no NNGP or NTK limit (its output shrinks as width grows, and its kernel moves in "
                "training): use its finite views (empirical_ntk, random_features, train), or parameterization='ntk' or "
                "'standard'"
            )
        covariance = state.covariance.affine(self.w_std, self.b_std)
        own = covariance.cross
        if self.parameterization == "standard":
            own = state.units * state.covariance.cross + (1.0 if self.has_bias else 0.0)
        ntk = own + self.w_std**2 * state.ntk
        return State(covariance, ntk, self.width, hidden=True, gaussian=True, same=state.same)

    def width_out(self, in_dim: int) -> int:
        return self.width

    @property
    def fuses(self) -> bool:
        return True

    def fresh(self, before: bool = False) -> bool:
        return True

    def homogeneity(self, degree: float | None) -> float | None:
        return degree if not self.has_bias or degree == 0 else None


class Activation(Layer):
    """An elementwise nonlinearity: a member of `rf.activations`, or any function, whose duals are then by quadrature.

        q' = E σ(u)σ(v),   Θ' = E σ'(u)σ'(v)·Θ,   (u, v) ~ N(0, q)

    The dual is an expectation over Gaussian units, so that this reading wants the layer after a Dense layer, or after a
    LayerNorm or a sum of such.

    **Raises** TypeError when `function` is neither; the infinite-width reading ValueError where units are not Gaussian.
    """

    function: Nonlinearity

    def __init__(self, function: Nonlinearity | Callable[[Array], Array]):
        self.function = from_function(function)

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        return {}

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n in"]:
        return self.function(X)

    def _propagate(self, state: State) -> State:
        require_gaussian("Activation", state)
        covariance, slope = self.function.propagate(state.covariance), self.function.derivative(state.covariance)
        return dataclasses.replace(state, covariance=covariance, ntk=slope * state.ntk, gaussian=False)

    def width_out(self, in_dim: int) -> int:
        return in_dim

    @property
    def fuses(self) -> bool:
        return self.function.fuses

    def fresh(self, before: bool = False) -> bool:
        return False

    def homogeneity(self, degree: float | None) -> float | None:
        own = self.function.homogeneity
        if own is not None and degree is not None:
            return degree * own
        return 0 if degree == 0 else None

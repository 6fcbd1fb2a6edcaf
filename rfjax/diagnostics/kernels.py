"""How the tangent kernel moves, and whether it turns towards the target."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.networks import Function, Layer, Params
from rfjax.numerics import matmul, safe_divide
from rfjax.training import Diagnostic
from rfjax.views import empirical_ntk


class KernelDrift(Diagnostic):
    """How far the empirical NTK K_t on given points is from K_0: 0 in the lazy regime.

        measure="frobenius"  ‖K_t − K_0‖_F / ‖K_0‖_F
        measure="alignment"  1 − ⟨K_t, K_0⟩/(‖K_t‖_F ‖K_0‖_F)     (the kernel distance of Fort et al. 2020), blind to scale

    The kernel is the mean over outputs.  **Raises** ValueError for another measure or bad points.
    """

    net: Layer | Function
    X: Float[Array, "n d"]
    measure: str = eqx.field(static=True)

    def __init__(self, net: Any, X: Float[Array, "n d"], measure: str = "frobenius"):
        self.net, self.X = net, checks.points("X", X)
        self.measure = checks.choice("measure", measure, ("frobenius", "alignment"))

    def _measure(self, params: Params, start: Params) -> Float[Array, ""]:
        now, before = (empirical_ntk(self.net, theta)(self.X) for theta in (params, start))
        if self.measure == "frobenius":
            return _norm(now - before) / _norm(before)
        # Of unit matrices, 1 − ⟨A, B⟩ = ½‖A − B‖², which does not cancel.
        return _norm(safe_divide(now, _norm(now)) - before / _norm(before)) ** 2 / 2


class TargetAlignment(Diagnostic):
    """Centred alignment of the empirical NTK with the targets: ⟨K_c, y_c y_cᵀ⟩/(‖K_c‖_F ‖y_c‖²), between 0 and 1.

    K_c = H K H and y_c = H y with H = I − 11ᵀ/n.  Cortes, Mohri & Rostamizadeh 2012.  It grows as features are learned.

    **Raises** ValueError for targets that are all equal, TypeError or ValueError for bad data.
    """

    net: Layer | Function
    X: Float[Array, "n d"]
    y: Float[Array, " n"]

    def __init__(self, net: Any, X: Float[Array, "n d"], y: Float[Array, " n"]):
        self.net, self.X = net, checks.points("X", X)
        self.y = checks.targets("y", y, rows=self.X.shape[0])
        if self.y.ndim != 1:
            raise ValueError(f"y must have shape [n], got {list(self.y.shape)}")
        if not checks.is_traced(self.y) and not bool((self.y != self.y[0]).any()):
            raise ValueError("y must not be the same at all points: alignment is with what varies")

    def _measure(self, params: Params, start: Params) -> Float[Array, ""]:
        K = empirical_ntk(self.net, params)(self.X)
        K = K - K.mean(axis=0)
        K = K - K.mean(axis=1, keepdims=True)
        y = (self.y - self.y.mean()).astype(K.dtype)
        return safe_divide(y @ matmul(K, y), _norm(K) * (y @ y))


def _norm(K: Float[Array, "n n"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(K**2))

"""The kernels of infinitely wide networks, by one pass through their layers, or by one curve for all of them."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.activations import Nonlinearity
from rfjax.kernels.base import Kernel
from rfjax.kernels.curve import Curve, terms_for
from rfjax.kernels.pairs import CrossPairs, DiagonalPairs, Pairs
from rfjax.kernels.surface import RANKS, Surface
from rfjax.networks import Activation, Layer, Repeat, State
from rfjax.numerics import Covariance, norm

_FEW = 2**12  # entries, below which all layers cost less than compiling a curve
_MANY = 2**16  # entries, below which all layers cost less than fitting a surface
_LEAST = 3  # closed forms over all pairs, below which no surface costs less
_RANK_A_PASS = 2  # polynomials of a surface that cost as much as one closed form


class InfiniteWidth(Kernel):
    """The NNGP or the NTK of `network`, every hidden width taken to infinity.

        state = (⟨x, y⟩/d, 0);  for each layer: state = layer.propagate(state);  k = state.nngp or state.ntk

    Where the network is positively homogeneous, k = (‖x‖‖y‖)^p f(θ), and f is evaluated as one polynomial in place of the
    layers; other networks as one function of two norms and an angle, where that takes less.  Neal 1996 (NNGP), Jacot,
    Gabriel & Hongler 2018 (NTK).  Prefer `rf.nngp` and `rf.ntk`.
    """

    network: Layer
    reading: str = eqx.field(static=True, converter=lambda name: checks.choice("reading", name, ("nngp", "ntk")))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return self._propagate(pairs.covariance, pairs.columns, same=isinstance(pairs, DiagonalPairs))

    def _propagate(self, covariance: Covariance, columns: int, *, same: bool = False) -> Float[Array, "..."]:
        state = self.network.propagate(State(covariance, jnp.zeros_like(covariance.below), columns, same=same))
        return state.nngp if self.reading == "nngp" else state.ntk

    def _prepared(self, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Kernel:
        if X.shape[0] * Y.shape[0] < _FEW:
            return self
        power, activations = self.network.homogeneity(1.0), list(_activations(self.network))
        depth, passes = len(activations), sum(f.passes for f in activations)
        dtype, columns = jnp.result_type(X, Y), X.shape[1]
        if power is None and (passes < _LEAST or X.shape[0] * Y.shape[0] < _MANY):
            return self
        norms = jnp.concatenate([norm(X), norm(Y)]).astype(dtype) / math.sqrt(columns)
        smallest, largest = jnp.min(norms), jnp.max(norms)
        function, terms = partial(self._propagate, columns=columns), terms_for(depth, dtype, power)
        if power is None:
            surface, agrees = lax.stop_gradient(Surface.fit(function, smallest, largest, terms))
            return Fitted(self, surface, agrees & (jnp.array(RANKS)[surface.rank] <= _RANK_A_PASS * passes))
        # Homogeneous is a network away from 0; a point of length 0 has no angle.
        curve = Curve.fit(function, dtype, terms, power)
        return Fitted(self, curve, curve.converged & (smallest > 0))


class Fitted(Kernel):
    """A kernel of norms and angle by one fit where that `holds`, and otherwise by the layers of `kernel` one by one."""

    kernel: InfiniteWidth
    fit: Curve | Surface
    holds: jax.Array

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        if not isinstance(pairs, CrossPairs):
            return self.kernel._evaluate(pairs)
        if isinstance(self.fit, Surface):
            return _by_surface(self, pairs.X, pairs.Y, pairs.known)
        return self._by_fit(pairs)

    def _by_fit(self, pairs: CrossPairs) -> Float[Array, "n m"]:
        a, b = (v / math.sqrt(pairs.columns) for v in pairs.norms)
        return pairs.by_angle(partial(self.fit, a, b), self.kernel._evaluate, self.holds)


@eqx.filter_custom_jvp
def _by_surface(
    fitted: Fitted, X: Float[Array, "n d"], Y: Float[Array, "m d"], known: dict[str, Any]
) -> Float[Array, "n m"]:
    """Values by the surface, derivatives by the layers: where all norms are the same, a surface knows nothing of others."""
    return fitted._by_fit(CrossPairs.of(X, Y, known))


@_by_surface.def_jvp
def _by_surface_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    fitted, X, Y, known = primals
    dfitted, dX, dY, _ = tangents

    def by_layers(kernel: Kernel, X: Array, Y: Array) -> Float[Array, "n m"]:
        return kernel._evaluate(CrossPairs(X, Y, known["identity"]))

    layers = eqx.filter_jvp(by_layers, (fitted.kernel, X, Y), (dfitted.kernel, dX, dY))
    return _by_surface(*primals), layers[1]


def _activations(layer: Layer) -> Iterator[Nonlinearity]:
    """The nonlinearities of a network, as often as they are applied."""
    if isinstance(layer, Repeat):
        yield from list(_activations(layer.layer)) * layer.times
    if isinstance(layer, Activation):
        yield layer.function
    for inner in getattr(layer, "layers", ()) or getattr(layer, "branches", ()):
        yield from _activations(inner)

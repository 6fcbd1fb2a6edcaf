"""The kernels of infinitely wide networks, by one pass through their layers, or by one curve for all of them."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rfjax import checks
from rfjax.kernels.base import Kernel
from rfjax.kernels.curve import Curve, terms_for
from rfjax.kernels.pairs import CrossPairs, DiagonalPairs, Pairs
from rfjax.networks import Activation, Layer, Repeat, State
from rfjax.numerics import Covariance, norm

_FEW = 2**12  # entries, below which all layers cost less than compiling a curve
_ONE_NORM = 8  # units of rounding between norms that count as one


class InfiniteWidth(Kernel):
    """The NNGP or the NTK of `network`, every hidden width taken to infinity.

        state = (⟨x, y⟩/d, 0);  for each layer: state = layer.propagate(state);  k = state.nngp or state.ntk

    Where the network is positively homogeneous, or the points are of one norm, k = (‖x‖‖y‖)^p f(θ), and f is evaluated
    as one polynomial in place of the layers.  Neal 1996 (NNGP), Jacot, Gabriel & Hongler 2018 (NTK).  Prefer `rf.nngp`
    and `rf.ntk`.
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
        power, depth = self.network.homogeneity(1.0), _depth(self.network)
        if power is None and depth < 2:
            return self
        dtype, columns = jnp.result_type(X, Y), X.shape[1]
        norms = jnp.concatenate([norm(X), norm(Y)]).astype(dtype)
        smallest, largest = jnp.min(norms), jnp.max(norms)
        # Homogeneous is a network away from 0; a point of length 0 has no angle.
        if power is not None:
            square, valid = jnp.ones((), dtype), smallest > 0
        else:
            square = (largest / math.sqrt(columns)) ** 2
            valid = smallest >= (1 - _ONE_NORM * jnp.finfo(dtype).eps) * largest
        terms = terms_for(depth, dtype, power)
        curve = Curve.fit(lambda q: self._propagate(q, columns), square, terms)
        return OneCurve(self, curve, curve.converged & valid, power or 0.0)


class OneCurve(Kernel):
    """(‖x‖‖y‖/d)^power f(θ) where that `holds`, and otherwise the layers of `kernel` one by one."""

    kernel: InfiniteWidth
    curve: Curve
    holds: jax.Array
    power: float = eqx.field(static=True)

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        if not isinstance(pairs, CrossPairs):
            return self.kernel._evaluate(pairs)
        a, b = ((v / math.sqrt(pairs.columns)) ** self.power for v in pairs.norms)

        def by_curve(smaller: Float[Array, "n m"], beyond: Bool[Array, "n m"]) -> Float[Array, "n m"]:
            value = self.curve(smaller, beyond)
            return value if self.power == 0 else value * a * b

        return pairs.by_angle(by_curve, self.kernel._evaluate, self.holds)


def _depth(layer: Layer) -> int:
    """The nonlinearities of a network."""
    if isinstance(layer, Repeat):
        return layer.times * _depth(layer.layer)
    inner = getattr(layer, "layers", ()) or getattr(layer, "branches", ())
    return int(isinstance(layer, Activation)) + sum(map(_depth, inner))

"""The kernels of infinitely wide networks, by one pass through their layers."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels.base import Kernel
from rfjax.kernels.pairs import Pairs
from rfjax.networks import Layer, State


class InfiniteWidth(Kernel):
    """The NNGP or the NTK of `network`, every hidden width taken to infinity.

        state = (⟨x, y⟩/d, 0);  for each layer: state = layer.propagate(state);  k = state.nngp or state.ntk

    Neal 1996 (NNGP), Jacot, Gabriel & Hongler 2018 (NTK).  Prefer `rf.nngp` and `rf.ntk`.
    """

    network: Layer
    reading: str = eqx.field(static=True, converter=lambda name: checks.choice("reading", name, ("nngp", "ntk")))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        covariance = pairs.covariance
        state = self.network.propagate(State(covariance, jnp.zeros_like(covariance.below), pairs.columns))
        return state.nngp if self.reading == "nngp" else state.ntk

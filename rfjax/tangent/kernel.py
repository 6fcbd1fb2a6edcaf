"""The empirical neural tangent kernel of any model at given parameters."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels import Kernel, Pairs, Ring, Tiling
from rfjax.networks import Function, Layer, Params, as_function
from rfjax.numerics import gram
from rfjax.tangent.jacobian import jacobian, output_count, parameter_count
from rfjax.tangent.structured import flatten, full_kernel, mean_kernel

_ENTRIES = 2**25  # of a Jacobian block, each of the two that are alive at once


class EmpiricalNTK(Kernel):
    """k(x, y) = (1/c) Σ_a ⟨∂f_a(x)/∂θ, ∂f_a(y)/∂θ⟩ at fixed parameters θ; made by `rf.empirical_ntk`.

    outputs="mean" gives [n, m]; outputs="full" keeps the outputs apart, [n·c, m·c] with rows ordered (x, output).
    Dense networks use the products of their layers (`rfjax.tangent.structured`); anything else contracts Jacobians in
    blocks of rows.
    """

    net: Layer | Function
    params: Params
    outputs: str = eqx.field(static=True)

    def __init__(self, net: Any, params: Params, outputs: str = "mean"):
        self.net = net if isinstance(net, Layer) else as_function(net)
        self.params = params
        self.outputs = checks.choice("outputs", outputs, ("mean", "full"))

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return pairs.matrix(self._gram)

    @property
    def tiled(self) -> bool:
        return False

    def _product(
        self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None, V: Float[Array, "m c"], layout: Tiling | Ring
    ) -> Float[Array, "n c"]:
        if self.outputs == "full":
            raise ValueError("matvec needs a kernel with one entry a pair of points: empirical_ntk with outputs='mean'")
        return super()._product(X, Y, V, layout)

    def _gram(self, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Float[Array, "..."]:
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, X.dtype), self.params)
        layers = flatten(self.net, params) if isinstance(self.net, Layer) else None
        if layers is not None:
            return (mean_kernel if self.outputs == "mean" else full_kernel)(layers, X, Y)
        return self._contract(params, X, Y)

    def _contract(self, params: Params, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Float[Array, "..."]:
        function = as_function(self.net)
        c = output_count(function, params, X)
        block = max(1, _ENTRIES // (c * parameter_count(params)))

        def rows(points: Float[Array, "b d"]) -> Float[Array, "r P"]:
            J = jacobian(function, params, points)
            return J.reshape(-1, J.shape[-1]) if self.outputs == "full" else J.reshape(J.shape[0], -1) / c**0.5

        parts = [
            jnp.concatenate([gram(left, rows(part)) for part in _blocks(Y, block)], axis=1)
            for left in (lax.optimization_barrier(rows(part)) for part in _blocks(X, block))
        ]
        return jnp.concatenate(parts)


def _blocks(X: Float[Array, "n d"], size: int) -> list[Float[Array, "b d"]]:
    return [X[i : i + size] for i in range(0, X.shape[0], size)]

"""One layer many times, as a loop that is compiled once."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.networks.base import Layer, Params, State


class Repeat(Layer):
    """`layer` applied `times` times in a row, each time with parameters of its own, stacked on a leading axis [times].

    It is Serial(layer, layer, …), compiled once: the program does not grow with `times`.

    **Raises** TypeError for anything that is not a layer, ValueError for times below 1; `init` raises ValueError for a
    layer that does not keep the width of its input.
    """

    layer: Layer
    times: int = eqx.field(static=True)

    def __init__(self, layer: Layer, times: int):
        if not isinstance(layer, Layer):
            raise TypeError(f"Repeat takes a layer (or a Serial of them), got {type(layer).__name__}")
        self.layer = layer
        self.times = checks.count("times", times)

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        self.width_out(in_dim)
        return jax.vmap(lambda own: self.layer._init(own, in_dim))(jax.random.split(key, self.times))

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n in"]:
        leaves = jax.tree.leaves(params)
        if any(jnp.ndim(leaf) == 0 or leaf.shape[0] != self.times for leaf in leaves):
            raise ValueError(f"params must have a leading axis of {self.times}, one entry a repetition, as from init")
        keys = None if key is None else jax.random.split(key, self.times)
        start = X.astype(jnp.result_type(X, *leaves))
        return lax.scan(
            lambda h, own: (self.layer._apply(own[0], h, own[1]), None), start, (params, keys), length=self.times
        )[0]

    def _propagate(self, state: State) -> State:
        return iterate(lambda state, _: self.layer._propagate(state), state, [None] * self.times)

    def width_out(self, in_dim: int) -> int:
        width = self.layer.width_out(in_dim)
        if self.times > 1 and width != in_dim:
            raise ValueError(f"Repeat needs a layer that keeps the width: it makes {width} columns of {in_dim}")
        return width

    def fresh(self, before: bool = False) -> bool:
        return self.layer.fresh(before)

    def homogeneity(self, degree: float | None) -> float | None:
        for _ in range(self.times):
            after = self.layer.homogeneity(degree)
            if after == degree:
                break
            degree = after
        return degree


def iterate(step: Callable[[State, Any], State], state: State, own: list[Any]) -> State:
    """step(…step(state, own[0])…, own[-1]) as one loop over the stacked leaves of `own`, trees of one structure.

    The first step stands outside of the loop: it may change what the state says of its units, later ones do not.
    Numbers without a dtype of their own take that of the state.
    """
    state = step(state, own[0])
    if len(own) == 1:
        return state
    dtype = state.covariance.below.dtype

    def stack(*leaves: Any) -> Array:
        values = jnp.stack(leaves)
        return values.astype(dtype) if all(jax.typeof(leaf).weak_type for leaf in leaves) else values

    stacked = jax.tree.map(stack, *own[1:])
    return lax.scan(lambda state, now: (step(state, now), None), state, stacked, length=len(own) - 1)[0]

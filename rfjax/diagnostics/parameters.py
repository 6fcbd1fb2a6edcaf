"""How far the parameters are from where they started."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax.networks import Params
from rfjax.numerics import safe_divide, safe_sqrt
from rfjax.training import Diagnostic


class Distance(Diagnostic):
    """‖θ_l − θ_l(0)‖/‖θ_l(0)‖ for every layer l that has parameters, [layers]; with relative=False the length itself.

    Layers are the entries of the parameters' first level with more than one (for any pytree), weights and biases together.
    A layer that starts at zero has relative distance 0 until it moves, and inf from then on.
    """

    relative: bool = eqx.field(static=True, default=True)

    def _measure(self, params: Params, start: Params) -> Float[Array, " layers"]:
        moved = jax.tree.map(lambda new, old: new - old, params, start)
        lengths = jnp.stack([_length(layer) for layer in _layers(moved)])
        if not self.relative:
            return lengths
        norms = jnp.stack([_length(layer) for layer in _layers(start)])
        return jnp.where((norms == 0) & (lengths > 0), jnp.inf, safe_divide(lengths, norms))


def _layers(tree: Any) -> list[Any]:
    """The first level that branches, without what holds no arrays."""
    children = jax.tree.leaves(tree, is_leaf=lambda node: node is not tree)
    children = [child for child in children if jax.tree.leaves(child)]
    return _layers(children[0]) if len(children) == 1 and children[0] is not tree else children


def _length(tree: Any) -> Float[Array, ""]:
    return safe_sqrt(jnp.asarray(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))))

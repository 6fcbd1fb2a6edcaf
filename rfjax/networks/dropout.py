"""Units dropped at random while a network is trained."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.networks.base import Layer, Params, State
from rfjax.numerics import Covariance


class Dropout(Layer):
    """Each unit of each point dropped with probability `rate`, the others divided by keep = 1 − rate.

        h' = m·h/keep,   m ~ Bernoulli(keep), independent for every point and unit

    `apply` with a `key` draws the masks; without one it is the network at evaluation, whose Dropout is the identity.
    The infinite-width reading is of the network in training, in expectation over the masks:

        q'(x, x) = q(x, x)/keep,   Θ'(x, x) = Θ(x, x)/keep       a point with itself, as in k.diag(X) and k(X)'s diagonal
        q'(x, y) = q(x, y),        Θ'(x, y) = Θ(x, y)            two points, each with a mask of its own

    Two rows of X and Y are two points even where they are equal.  As in neural-tangents (Novak et al. 2020); Srivastava
    et al. 2014, *Dropout*.

    **Raises** ValueError for a rate outside [0, 1); the infinite-width reading ValueError on the network's inputs, which
    are not infinitely many units that a mask averages over.
    """

    rate: Float[Array, ""] | float

    def __init__(self, rate: Float[Array, ""] | float):
        self.rate = checks.number("rate", rate, least=0.0)
        if not checks.is_traced(self.rate) and self.rate >= 1:
            raise ValueError(f"rate must be below 1, got {rate!r}: at 1 no unit is left")

    def _init(self, key: PRNGKeyArray, in_dim: int) -> Params:
        return {}

    def _apply(self, params: Params, X: Float[Array, "n in"], key: PRNGKeyArray | None = None) -> Float[Array, "n in"]:
        if key is None:
            return X
        keep = 1 - self.rate
        return jnp.where(jax.random.bernoulli(key, keep, X.shape), X / keep, 0)

    def _propagate(self, state: State) -> State:
        if not state.hidden:
            raise ValueError("Dropout of the inputs has no infinite-width limit: put it after a Dense layer")
        keep = 1 - self.rate
        pair = state.covariance
        # Longer by √(1/keep) at both ends: between two points cross stays, and only `geometric` grows.
        grown = 0.0 if state.same else pair.geometric * (self.rate / keep)
        below, above = (v / keep if state.same else v + grown for v in (pair.below, pair.above))
        covariance = Covariance(pair.left / keep, pair.right / keep, below, above)
        ntk = state.ntk / keep if state.same else state.ntk
        return dataclasses.replace(state, covariance=covariance, ntk=ntk, gaussian=False)

    def width_out(self, in_dim: int) -> int:
        return in_dim

    def fresh(self, before: bool = False) -> bool:
        return before

    def homogeneity(self, degree: float | None) -> float | None:
        return degree


def has_dropout(net: Any) -> bool:
    """Whether `net` holds a Dropout layer, so that training it is random."""
    return any(isinstance(node, Dropout) for node in jax.tree.leaves(net, is_leaf=lambda v: isinstance(v, Dropout)))

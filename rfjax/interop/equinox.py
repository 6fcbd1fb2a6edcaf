"""Equinox models as networks: their floating arrays are the parameters, and everything else is held fixed.

from rfjax.interop.equinox import from_equinox

model = from_equinox(lambda key: eqx.nn.MLP(10, 2, 64, 3, key=key), key=key)
k = rf.empirical_ntk(model, model.params)
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray

from rfjax import checks
from rfjax.interop.model import Model

__all__ = ["from_equinox"]


def from_equinox(
    model: eqx.Module | Callable[[PRNGKeyArray], eqx.Module],
    *,
    key: PRNGKeyArray | None = None,
    state: eqx.nn.State | None = None,
    shape: tuple[int, ...] | None = None,
) -> Model:
    """An Equinox model of one point (it is mapped over rows), or a function that makes one from a key.

    A model with batch statistics is called as model(x, state) with the `state` given, which stays as it is.

    **Raises** ValueError for Dropout or batch statistics outside `eqx.nn.inference_mode`, for batch statistics without
    `state`, or without a key where one is needed.
    """
    draw: Callable[[PRNGKeyArray], Any] | None = None
    if isinstance(model, eqx.Module):
        built = model
    elif callable(model):
        make = model
        built = make(checks.prng_key("key", key))

        def draw(key: PRNGKeyArray) -> Any:
            return eqx.partition(make(key), eqx.is_inexact_array)[0]
    else:
        raise TypeError(f"model must be an eqx.Module or a function of a key, got {type(model).__name__}")
    _checked(built, state)
    params, static = eqx.partition(built, eqx.is_inexact_array)

    def apply(params: Any, X: Array) -> Array:
        whole = eqx.combine(params, static)
        return jax.vmap(whole)(X) if state is None else jax.vmap(lambda x: whole(x, state)[0])(X)

    return Model(params, apply, draw, shape)


def _checked(model: Any, state: Any) -> None:
    for part in jax.tree.leaves(model, is_leaf=_special):
        if (
            isinstance(part, eqx.nn.Dropout)
            and not part.inference
            and not (isinstance(part.p, (int, float)) and part.p == 0)
        ):
            raise ValueError(
                "this model draws Dropout masks and has no key for them: a kernel is of one function, so take it at "
                "evaluation, eqx.nn.inference_mode(model)"
            )
        if isinstance(part, eqx.nn.BatchNorm):
            if not part.inference:
                raise ValueError(
                    "this model updates its batch statistics, and a batch of one has none: freeze them, "
                    "eqx.nn.inference_mode(model)"
                )
            if state is None:
                raise ValueError("this model has batch statistics: pass the state= that holds them")


def _special(part: Any) -> bool:
    return isinstance(part, (eqx.nn.Dropout, eqx.nn.BatchNorm))

"""Wherever only `apply` is used, a network may be any function of (params, X)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax.networks.base import Layer, Params
from rfjax.networks.dropout import has_dropout

# A model without layers: f(params, X), [n, d] to [n] or [n, c].
Function = Callable[[Params, Float[Array, "n d"]], Float[Array, "..."]]


class _Apply(eqx.Module):
    network: Layer

    def __call__(
        self, params: Params, X: Float[Array, "n d"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "n out"]:
        # Without Dropout there is nothing to draw, and the splitting of keys need not be compiled.
        return self.network._apply(params, X, key if has_dropout(self.network) else None)


def as_function(net: Any) -> Function:
    """`net` as a pytree to be called with (params, X): a network, an object with `apply`, or a plain function.

    **Raises** TypeError for anything else.
    """
    if isinstance(net, Layer):
        return _Apply(net)
    if callable(getattr(net, "apply", None)):
        return jax.tree_util.Partial(net.apply)
    if isinstance(net, (eqx.Module, jax.tree_util.Partial)) and callable(net):
        return net
    if callable(net):
        return jax.tree_util.Partial(net)
    raise TypeError(f"net must be a network or a function f(params, X), got {type(net).__name__}")


def outputs_2d(
    function: Function, params: Params, X: Float[Array, "n d"], key: PRNGKeyArray | None = None
) -> Float[Array, "n c"]:
    """The function's values as [n, c]; a function to [n] has c = 1.  A `key` makes a network the one in training.

    **Raises** ValueError when it returns anything but [n] or [n, c].
    """
    values = function(params, X, key) if isinstance(function, _Apply) else function(params, X)
    if getattr(values, "ndim", 0) not in (1, 2) or values.shape[0] != X.shape[0]:
        found = list(values.shape) if hasattr(values, "shape") else f"a {type(values).__name__}"
        raise ValueError(f"a network must return [n] or [n, out]; for X of shape {list(X.shape)} it returned {found}")
    return values[:, None] if values.ndim == 1 else values

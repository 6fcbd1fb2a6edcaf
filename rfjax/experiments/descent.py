"""Training the network of a comparison: one compiled program for all learning rates, read off at several steps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

import rfjax as rf
from rfjax.networks import Params, Serial
from rfjax.training import half_mean_square

_BLOCK = 8192  # rows that go through the network at once
_BIAS = 0.1


def histories(
    spec: Any, depth: int, rate: float, X: Any, Y: Any, X_new: Any, classes: bool, key: PRNGKeyArray
) -> Float[np.ndarray, "T m c"]:
    """What the network says of X_new after each of the numbers of steps, trained on (X, Y) from the zero function.

    Adam at a constant rate on batches; squared error, or for classes the cross entropy.  NaN from where it diverged on.
    """
    net = rf.mlp(depth=depth, width=spec.width, b_std=_BIAS, out=Y.shape[1])
    batch = min(spec.batch, len(X))
    X, Y, X_new = (jnp.asarray(part) for part in (X, Y, X_new))
    found = _train(net, jnp.asarray(rate, X.dtype), key, X, Y, X_new, spec.steps, batch, classes)
    return np.moveaxis(np.asarray(found), -1, 0)


def describe(spec: Any, depth: int, rate: float, at: int) -> dict[str, Any]:
    """The settings that were chosen."""
    return {"depth": depth, "width": spec.width, "rate": rate, "steps": spec.steps[at]}


class Blocked(eqx.Module):
    """The network as a function of (params, X) that takes many rows block after block."""

    net: Serial

    def __call__(self, params: Params, X: Float[Array, "n d"]) -> Float[Array, "n c"]:
        """f(params, X)."""
        if X.shape[0] <= _BLOCK:
            return self.net.apply(params, X)
        return lax.map(lambda x: self.net.apply(params, x[None])[0], X, batch_size=_BLOCK)


@eqx.filter_jit
def _train(
    net: Serial,
    rate: Float[Array, ""],
    key: PRNGKeyArray,
    X: Float[Array, "n d"],
    Y: Float[Array, "n c"],
    X_new: Float[Array, "m d"],
    steps: tuple[int, ...],
    batch: int,
    classes: bool,
) -> Float[Array, "m c T"]:
    function = Blocked(net)
    params = net.zero_output(jax.tree.map(lambda leaf: leaf.astype(X.dtype), net.init(key, X.shape[1])))
    run = rf.train(
        function,
        (X, Y),
        params=params,
        key=key,
        optimizer=optax.adam(rate),
        steps=max(steps),
        record=steps,
        batch_size=batch,
        loss=_cross_entropy if classes else half_mean_square,
        metrics={"predictions": lambda p: function(p, X_new)},
    )
    return run.history.metrics["predictions"][..., 1:]


def _cross_entropy(predictions: Float[Array, "n c"], Y: Float[Array, "n c"]) -> Float[Array, ""]:
    return optax.softmax_cross_entropy(predictions, Y).mean()

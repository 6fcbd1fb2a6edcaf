"""What a fit is: a function of new points, its coefficients and what was learned while making it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.regression.normal import predictions
from rfjax.regression.solvers import Stats
from rfjax.regression.solvers.stream import rows

# The function that a fit corrects: X [n, d] to [n] or [n, c].
Start = Callable[[Float[Array, "n d"]], Float[Array, "..."]]


class KernelFit(eqx.Module):
    """f(x) = Σ_i k(x, x_i) α_i + start(x), for the training points x_i or the centres that stand for them."""

    kernel: Kernel
    X: Float[Array, "n d"]
    coefficients: Float[Array, "n ..."]
    start: Start | None
    stats: Stats

    def __call__(self, X: Float[Array, "m d"]) -> Float[Array, "m ..."]:
        """Predictions [m] or [m, c], with y's trailing shape.  Raises TypeError or ValueError for bad data."""
        X = checks.points("X", X, columns=self.X.shape[1])
        found = jnp.isfinite(self.coefficients).all()  # otherwise there was no solution, and there is no prediction
        values = self.kernel.matvec(X, self.X, jnp.where(found, self.coefficients, 0))
        return with_start(jnp.where(found, values, jnp.nan), self.start, X)


class FeatureFit(eqx.Module):
    """f(x) = φ(x)·c + start(x)."""

    features: FeatureMap
    coefficients: Float[Array, "p ..."]
    start: Start | None
    stats: Stats

    def __call__(self, X: Float[Array, "m d"]) -> Float[Array, "m ..."]:
        """Predictions [m] or [m, c], with y's trailing shape, where φ(X) is large by blocks of rows.

        X may be a NumPy array or a memory map.  Raises TypeError or ValueError for bad data.
        """
        X = rows("X", X)
        return with_start(predictions(self.features, self.coefficients, X), self.start, X)


def with_start(values: Float[Array, "m ..."], start: Start | None, X: Float[Array, "m d"]) -> Float[Array, "m ..."]:
    """values + start(X), in the shape of `values`."""
    return values if start is None else values + checks.outputs("start", start(X), like=values.shape)


def start_values(start: Start, X: Float[Array, "n d"], shape: tuple[int, ...]) -> Float[Array, "n ..."]:
    """start(X) in the shape of y.  Raises ValueError when it has another shape, NaN or inf."""
    return checks.targets("start", checks.outputs("start", start(X), like=shape), rows=shape[0])


def as_start(start: Any) -> Start | None:
    """`start` as a pytree to be called with X.  Raises TypeError unless it is a function or None."""
    if start is None or (isinstance(start, (eqx.Module, jax.tree_util.Partial)) and callable(start)):
        return start
    if not callable(start):
        raise TypeError(f"start must be a function of X [n, d], got {type(start).__name__}")
    return jax.tree_util.Partial(start)

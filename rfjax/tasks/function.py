"""The user's own target."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.tasks.base import Task

SAMPLES = 2**18


class FunctionTask(Task):
    """g = function, over x ~ N(0, I_d); made by `rf.tasks.function`."""

    function: Callable[[Float[Array, "n d"]], Float[Array, " n"]] = eqx.field(static=True)
    dimension: int = eqx.field(static=True)
    moments: tuple[float, float] | None = eqx.field(static=True)

    @property
    def d(self) -> int:
        return self.dimension

    def _target(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        values = self.function(X)
        if getattr(values, "shape", None) != (X.shape[0],):
            shape = list(getattr(values, "shape", ()))
            raise ValueError(f"function must map [n, d] to [n]; for X of shape {list(X.shape)} it returned {shape}")
        return values

    @property
    def mean(self) -> float:
        return self._known()[0]

    @property
    def variance(self) -> float:
        return self._known()[1]

    def _known(self) -> tuple[float, float]:
        if self.moments is None:
            raise ValueError(
                "this task's mean and variance are not known: give rf.tasks.function(..., mean=, variance=), or key= to "
                "estimate them by sampling"
            )
        return self.moments


def estimate_moments(task: FunctionTask, key: Array) -> tuple[float, float]:
    """Sample mean and variance of the target over SAMPLES points, in batches."""
    batch = max(1, min(SAMPLES, 2**22 // task.d))
    total = square = 0.0
    used = 0
    for batch_key in jax.random.split(checks.prng_key("key", key), -(-SAMPLES // batch)):
        _, y = task.sample(batch_key, batch)
        if not bool(jnp.isfinite(y).all()):
            raise ValueError("function must be finite, got NaN or inf on Gaussian inputs")
        total, square, used = total + float(y.sum()), square + float((y**2).sum()), used + batch
    mean = total / used
    return mean, square / used - mean**2

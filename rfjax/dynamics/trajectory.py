"""What every training in function space offers: the function at any time, and its errors on held-out points."""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from rfjax import checks
from rfjax.kernels import Kernel
from rfjax.regression import Start


class StoppingPath(eqx.Module):
    """Held-out errors along training: `errors` [T] at `times` [T], E(f_t(x) − y)² over points and outputs (no ½)."""

    times: Float[Array, " T"] | Int[Array, " T"]
    errors: Float[Array, " T"]

    @property
    def best(self) -> Int[Array, ""]:
        """The index of the smallest error, the earliest of several."""
        return jnp.argmin(self.errors)

    @property
    def best_time(self) -> Array:
        """When to stop: the time of the smallest error."""
        return self.times[self.best]

    @property
    def best_error(self) -> Float[Array, ""]:
        """The smallest error."""
        return self.errors[self.best]


class Trajectory(eqx.Module):
    """A function that training moves, f_t(x), at every time t.  A subclass gives `_times` and `_moved`."""

    kernel: eqx.AbstractVar[Kernel]
    X: eqx.AbstractVar[Float[Array, "n d"]]
    start: eqx.AbstractVar[Start | None]

    @abc.abstractmethod
    def _times(self, t: ArrayLike) -> Array:
        """`t` as an array of times.  Raises TypeError or ValueError for what is no time."""

    @abc.abstractmethod
    def _moved(self, times: Float[Array, " T"], X: Float[Array, "m d"]) -> Float[Array, "T m ..."]:
        """f_t(X) − start(X), with y's trailing shape."""

    @final
    def __call__(self, t: ArrayLike, X: Float[Array, "m d"] | None = None) -> Float[Array, "..."]:
        """The function at time t on X [m, d], by default the training points.

        t scalar gives [m, ...], t of shape [T] gives [T, m, ...], with y's trailing shape.

        **Raises** TypeError or ValueError for bad data, for what is no time, or more than one axis of times.
        """
        times = self._times(t)
        if times.ndim > 1:
            raise ValueError(f"t must be a scalar or have shape [T], got {list(times.shape)}")
        X = self.X if X is None else checks.points("X", X, columns=self.X.shape[1])
        moved = self._moved(times.reshape(-1), X)
        moved = moved.reshape(times.shape + moved.shape[1:])
        if self.start is None:
            return moved
        return moved + checks.outputs("start", self.start(X), like=moved.shape[times.ndim :])

    @final
    def path(self, times: ArrayLike, X: Float[Array, "m d"], y: Float[Array, "m ..."]) -> StoppingPath:
        """Held-out errors at `times` [T]: when to stop early, `.best_time`.

        **Raises** TypeError or ValueError for bad data, times that are none, or a y of another trailing shape.
        """
        X = checks.points("X", X, columns=self.X.shape[1])
        y = checks.targets("y", y, rows=X.shape[0])
        known = self._times(times)
        if known.ndim != 1 or known.shape[0] == 0:
            raise ValueError(f"times must have shape [T] with T >= 1, got {list(known.shape)}")
        values = self(times, X)
        if values.shape[1:] != y.shape:
            raise ValueError(f"y must have the shape of the predictions, {list(values.shape[1:])}, got {list(y.shape)}")
        return StoppingPath(known, _mean_squares(values, y))


@jax.jit
def _mean_squares(values: Float[Array, "T m ..."], y: Float[Array, "m ..."]) -> Float[Array, " T"]:
    return jnp.mean((values - y.astype(values.dtype)) ** 2, axis=tuple(range(1, values.ndim)))


def as_times(t: ArrayLike, dtype: jnp.dtype) -> Float[Array, "..."]:
    """`t` as times of a flow.  Raises ValueError for a negative or NaN time."""
    times = jnp.asarray(t, dtype)
    if not checks.is_traced(times) and not (np.asarray(times) >= 0).all():
        raise ValueError("t must be >= 0 (and not NaN)")
    return times

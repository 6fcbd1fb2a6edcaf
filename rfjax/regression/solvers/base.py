"""What a solver is, and what it says of its work."""

import abc
import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rfjax import checks
from rfjax.kernels import Kernel


class Stats(eqx.Module):
    """How a fit was made.

    `form` is "dual" (an n × n system), "primal" (p × p), "restricted" (to some centres) or "population"; `size` that of
    the system; `residual` its relative residual ‖(A + ridge·I)c − b‖/‖b‖, the largest over columns; `ok` whether the
    solver succeeded.  `iterations` are steps of an iterative solver, `seconds` the wall time of an eager fit (0 under
    tracing), `memory` the bytes that the solver's largest arrays take together, and `reason` why it was chosen.
    """

    solver: str = eqx.field(static=True)
    form: str = eqx.field(static=True)
    dtype: str = eqx.field(static=True)
    size: int = eqx.field(static=True)
    ridge: Float[Array, ""] | float
    residual: Float[Array, ""]
    ok: Bool[Array, ""]
    iterations: Int[Array, ""] | int = 0
    seconds: float = 0.0
    memory: int = eqx.field(static=True, default=0)
    reason: str = eqx.field(static=True, default="asked for")


class Solution(NamedTuple):
    """Coefficients [m, ...] at `points` [m, d], and how they were found."""

    points: Float[Array, "m d"]
    coefficients: Float[Array, "m ..."]
    stats: Stats


class Solver(eqx.Module):
    """A way to solve (k(X) + ridge·I)α = y; its fields are its settings.  A subclass gives `name` and `solve`."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What `ridge_regression` knows it by."""

    @property
    @abc.abstractmethod
    def streams(self) -> bool:
        """Whether X may stay on the host or on a disk, block after block being brought in."""

    @abc.abstractmethod
    def solve(self, kernel: Kernel, X: Any, y: Float[Array, "n ..."], ridge: Any, *, throw: bool) -> Solution:
        """The coefficients of the fit on X [n, d], an array of the host where the solver streams.

        **Raises** ValueError where it fails, unless `throw` is False.
        """


class Stopwatch:
    """Seconds since it was made, once `values` are there; 0 where they are traced."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def read(self, values: Any) -> float:
        if checks.is_traced(values):
            return 0.0
        jax.block_until_ready(values)
        return time.perf_counter() - self._start


def as_columns(y: Float[Array, "n ..."]) -> Float[Array, "n c"]:
    """y with an axis for its outputs."""
    return y if y.ndim == 2 else y[:, None]


def relative(residual: Float[Array, "n c"], b: Float[Array, "n c"]) -> Float[Array, ""]:
    """The largest ‖residual‖/‖b‖ of a column; of a column b = 0, whose solution is 0, it is 0."""
    size = jnp.linalg.norm(b, axis=0)
    return jnp.max(jnp.linalg.norm(residual, axis=0) / jnp.where(size == 0, 1, size))

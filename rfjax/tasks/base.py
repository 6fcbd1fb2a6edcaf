"""A task: Gaussian inputs and a target, with the exact moments that reported errors are divided by."""

import abc
from functools import partial
from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks


class Task(eqx.Module):
    """Inputs x ~ N(0, I_d) and a scalar target g.  `task.sample(key, n)` draws (X, y); `task(X)` is g on given points.

    A subclass gives `_target`, `d`, `mean` and `variance`.
    """

    @property
    @abc.abstractmethod
    def d(self) -> int:
        """The input dimension."""

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """E g(x)."""

    @property
    @abc.abstractmethod
    def variance(self) -> float:
        """Var g(x) = E g² − (E g)²: the population error of the best constant, by which `relative` errors divide."""

    @abc.abstractmethod
    def _target(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        """g(x_i)."""

    @final
    def __call__(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The target on the rows of X [n, d].  Raises TypeError or ValueError for bad data."""
        return _evaluate(self, checks.points("X", X, columns=self.d))

    @final
    def sample(self, key: PRNGKeyArray, n: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """n independent inputs and their targets.  Raises TypeError or ValueError for a bad key or n < 1."""
        return _draw(self, checks.prng_key("key", key), checks.count("n", n))


@jax.jit
def _evaluate(task: Task, X: Float[Array, "n d"]) -> Float[Array, " n"]:
    return task._target(X)


@partial(jax.jit, static_argnames="n")
def _draw(task: Task, key: PRNGKeyArray, n: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    X = jax.random.normal(key, (n, task.d))
    return X, task._target(X)

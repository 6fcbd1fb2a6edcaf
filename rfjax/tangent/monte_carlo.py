"""Kernels of infinite networks, or of an ensemble, by averaging over random finite ones."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rfjax import checks
from rfjax.networks import Function, Params, as_function, outputs_2d
from rfjax.numerics import gram
from rfjax.tangent.kernel import EmpiricalNTK

_FIRST = 16  # draws before a standard error is believed

Init = Callable[[PRNGKeyArray, int], Params]


class Estimate(eqx.Module):
    """A mean over draws [n, m], its standard error [n, m] (that of one draw by √draws), and how many draws there were."""

    mean: Float[Array, "n m"]
    stderr: Float[Array, "n m"]
    samples: Int[Array, ""]


class MonteCarloKernel(eqx.Module):
    """(X, Y) to an Estimate of E k_θ(x, y) over random parameters θ; made by `rf.monte_carlo_kernel`."""

    function: Function
    init: Init
    in_dim: int = eqx.field(static=True)
    key: PRNGKeyArray
    reading: str = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    until_stderr: float = eqx.field(static=True)

    def __init__(
        self, net: Any, in_dim: int, key: PRNGKeyArray, reading: str, samples: int, until_stderr: float | None
    ):
        if isinstance(net, tuple) and len(net) == 2 and all(map(callable, net)):
            init, self.function = net[0], as_function(net[1])
        elif callable(getattr(net, "init", None)):
            init, self.function = net.init, as_function(net)
        else:
            raise TypeError(f"net must have init and apply, or be a pair (init, apply), got {type(net).__name__}")
        self.init = init
        self.in_dim = checks.count("in_dim", in_dim)
        self.key = checks.prng_key("key", key)
        self.reading = checks.choice("reading", reading, ("nngp", "ntk"))
        self.samples = checks.count("samples", samples, least=2)
        wanted = 0.0 if until_stderr is None else checks.number("until_stderr", until_stderr, above=0.0)
        self.until_stderr = float(wanted)

    def __call__(self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None = None) -> Estimate:
        """The estimate for all pairs.  Raises TypeError or ValueError for bad data."""
        X = checks.points("X", X, columns=self.in_dim)
        return _estimate(self, X, X if Y is None else checks.points("Y", Y, columns=self.in_dim))


@eqx.filter_jit
def _estimate(kernel: MonteCarloKernel, X: Float[Array, "n d"], Y: Float[Array, "m d"]) -> Estimate:
    """Mean and sum of squared deviations, draw after draw (Welford 1962): one pass, no cancellation."""
    dtype = jnp.result_type(X, Y)

    def draw(i: Int[Array, ""]) -> Float[Array, "n m"]:
        params = kernel.init(jax.random.fold_in(kernel.key, i), kernel.in_dim)
        if kernel.reading == "ntk":
            return EmpiricalNTK(kernel.function, params)(X, Y).astype(dtype)
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
        left, right = (outputs_2d(kernel.function, params, points) for points in (X, Y))
        return gram(left, right) / left.shape[1]

    def stderr(count: Array, squares: Array) -> Float[Array, "n m"]:
        return jnp.sqrt(squares / (jnp.maximum(count - 1, 1) * jnp.maximum(count, 1)).astype(dtype))

    def unfinished(state: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        count, mean, squares = state
        near = jnp.max(stderr(count, squares)) <= kernel.until_stderr * jnp.max(jnp.abs(mean))
        return (count < kernel.samples) & ~((count >= _FIRST) & near)

    def add(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        count, mean, squares = state
        value = draw(count)
        count = count + 1
        change = value - mean
        mean = mean + change / count.astype(dtype)
        return count, mean, squares + change * (value - mean)

    empty = jnp.zeros((X.shape[0], Y.shape[0]), dtype)
    count, mean, squares = lax.while_loop(unfinished, add, (jnp.zeros((), jnp.int32), empty, empty))
    return Estimate(mean, stderr(count, squares), count)

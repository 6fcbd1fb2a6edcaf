"""Hyperparameters of a kernel, and the noise, fitted by gradient descent on how well they explain the data."""

import warnings
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.numerics import matmul, solve_lower
from rfjax.regression.evidence import log_marginal_likelihood
from rfjax.regression.fit import Start, as_start, start_values
from rfjax.regression.gram import Noise, as_kernel, as_noise, as_points, factor, square_gram


class Tuned(eqx.Module):
    """A model with fitted hyperparameters; made by `rf.tune`.

    `model` and `noise` are those after `steps` steps, `history` [steps asked for + 1] the objective before every step
    and after the last.  Where it became NaN or infinite tuning stopped: `diverged` is True, `model` and `noise` are the
    last good ones, and `history` is NaN from there on.
    """

    model: Kernel | FeatureMap
    noise: Float[Array, "..."]
    history: Float[Array, " steps"]
    steps: Int[Array, ""]
    diverged: Bool[Array, ""]


def tune(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    *,
    noise: Noise,
    optimizer: optax.GradientTransformation,
    steps: int,
    objective: str = "evidence",
    subset: int | None = None,
    key: PRNGKeyArray | None = None,
    start: Start | None = None,
) -> Tuned:
    """Fit a kernel's hyperparameters and the noise to y on X [n, d] by `steps` of an optax `optimizer`.

        evidence: −log p(y | X)/(n c), as `rf.log_marginal_likelihood`        loo: mean of squared leave-one-out residuals

    Every floating-point leaf of the model is a hyperparameter θ.  One whose entries are all positive moves as θ₀e^u, so
    that it stays positive; one that is all zero is a term switched off, and stays; others move as θ₀ + u; u = 0 at first.
    The noise variances move together, as e^u times those given, a number or [n]; they must be > 0.  `start` is the mean,
    held fixed.  With "loo" only the ratio of kernel and noise matters.

    A step costs one Cholesky factorisation and its derivative, and all steps are one compiled scan.  `subset=m` draws m
    rows anew from `key` for every step, O(m³) in place of O(n³) work: the history is noisy then.  Chen, Zheng, Al Kontar
    & Raskutti 2020, *Stochastic gradient descent in correlated settings*.

    It jits and vmaps.  When the objective or its derivative becomes NaN or infinite (the Gram matrix is not positive
    definite, say) it stops, warns with the step, and keeps the last good model.  **Raises** TypeError or ValueError for
    bad data or settings, and ValueError where the matrix is not positive definite at first, naming a noise that works.
    """
    X = as_points(model, X)
    y = checks.targets("y", y, rows=X.shape[0])
    variances = as_noise(noise, X, above=0.0)
    steps, start = checks.count("steps", steps), as_start(start)
    checks.choice("objective", objective, _OBJECTIVES)
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(f"optimizer must be an optax optimiser, such as optax.adam(0.1), got {optimizer!r}")
    rows = X.shape[0] if subset is None else checks.count("subset", subset)
    if rows > X.shape[0]:
        raise ValueError(f"subset must be at most the number of rows, {X.shape[0]}, got {subset}")
    if objective == "loo" and rows < 2:
        raise ValueError("leaving one out needs two points at least, got 1")
    keys = None if subset is None else jax.random.split(checks.prng_key("key", key), steps + 1)
    r = (y if start is None else y - start_values(start, X, y.shape)).astype(X.dtype)
    leaves, fixed = eqx.partition(model, eqx.is_inexact_array_like)
    first = jax.tree.map(lambda leaf: jnp.asarray(leaf, X.dtype), leaves), variances
    loop = _Loop(optimizer, steps, objective, None if subset is None else rows)
    (leaves, last), history, taken, diverged = _descend(loop, first, fixed, X, r, keys)
    if not checks.is_traced(diverged) and diverged:
        if taken < 0:
            factor(square_gram(as_kernel(model), X), variances, throw=True)
        warnings.warn(
            f"tuning stopped at step {int(taken)} of {steps}, after which the objective or its derivative was NaN or "
            "infinite: the last good model is kept (a smaller learning rate or a larger noise may help)",
            RuntimeWarning,
            stacklevel=2,
        )
    return Tuned(eqx.combine(leaves, fixed), last, history, taken, diverged)


class _Loop(NamedTuple):
    """What the compiled scan depends on; `rows` of every step, None for all."""

    optimizer: optax.GradientTransformation
    steps: int
    objective: str
    rows: int | None


Hyperparameters = tuple[Any, Float[Array, "..."]]  # leaves of the model, noise


@partial(jax.jit, static_argnums=0)
def _descend(
    loop: _Loop,
    first: Hyperparameters,
    fixed: Any,
    X: Float[Array, "n d"],
    r: Float[Array, "n ..."],
    keys: PRNGKeyArray | None,
) -> tuple[Hyperparameters, Float[Array, " steps"], Int[Array, ""], Bool[Array, ""]]:
    """The last good hyperparameters, the history, the steps they took (−1 if not even the first are good), and whether
    that was for want of finite values."""

    def loss(moves: Any, key: PRNGKeyArray | None) -> Float[Array, ""]:
        leaves, noise = _moved(first, moves)
        model, data = eqx.combine(leaves, fixed), (X, r, noise)
        if key is not None:
            drawn = jax.random.choice(key, X.shape[0], (loop.rows or X.shape[0],), replace=False)
            data = (X[drawn], r[drawn], noise[drawn] if noise.ndim else noise)
        return _OBJECTIVES[loop.objective](model, *data)

    def step(carry: tuple[Any, ...], key: PRNGKeyArray | None) -> tuple[tuple[Any, ...], Float[Array, ""]]:
        moves, state, good, taken, stopped = carry
        value, slope = jax.value_and_grad(loss)(moves, key)
        fine = ~stopped & jnp.isfinite(value)
        good, taken = _pick(fine, moves, good), jnp.where(fine, taken + 1, taken)
        fine &= jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slope)]).all()
        updates, new = loop.optimizer.update(slope, state, moves)
        moves, state = _pick(fine, (optax.apply_updates(moves, updates), new), (moves, state))
        return (moves, state, good, taken, ~fine), jnp.where(stopped, jnp.nan, value)

    moves = jax.tree.map(jnp.zeros_like, (first[0], first[1].min()))
    carry = (moves, loop.optimizer.init(moves), moves, jnp.asarray(-1), jnp.asarray(False))
    (_, _, good, taken, stopped), history = lax.scan(step, carry, keys, length=loop.steps + 1)
    return _moved(first, good), history, taken, stopped


def _moved(first: Hyperparameters, moves: Any) -> Hyperparameters:
    def move(leaf: Array, by: Array) -> Array:
        moved = jnp.where((leaf == 0).all(), leaf, leaf + by)
        return jnp.where((leaf > 0).all(), leaf * jnp.exp(by), moved)

    return jax.tree.map(move, first[0], moves[0]), first[1] * jnp.exp(moves[1])


def _pick(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _evidence(
    model: Kernel | FeatureMap, X: Float[Array, "n d"], r: Float[Array, "n ..."], noise: Float[Array, "..."]
) -> Float[Array, ""]:
    return -log_marginal_likelihood(model, X, r, noise=noise, throw=False).value / r.size


def _leave_one_out(
    model: Kernel | FeatureMap, X: Float[Array, "n d"], r: Float[Array, "n ..."], noise: Float[Array, "..."]
) -> Float[Array, ""]:
    """Mean of (α_i/[A⁻¹]_ii)², A = k(X) + diag(noise), α = A⁻¹r."""
    L, _ = factor(square_gram(as_kernel(model), X), noise, throw=False)
    inverse = solve_lower(L, jnp.eye(L.shape[0], dtype=L.dtype))
    alpha = matmul(inverse.T, matmul(inverse, r.reshape(r.shape[0], -1)))
    return jnp.mean((alpha / (inverse**2).sum(axis=0)[:, None]) ** 2)


_OBJECTIVES = {"evidence": _evidence, "loo": _leave_one_out}

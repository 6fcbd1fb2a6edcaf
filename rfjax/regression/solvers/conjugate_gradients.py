"""Block preconditioned conjugate gradients on k(X) + ridge·I, which is never formed."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.kernels import GramOperator, Kernel
from rfjax.progress import Progress, reporter
from rfjax.regression.gram import check_spectrum, rounding
from rfjax.regression.solvers import krylov
from rfjax.regression.solvers.base import Solution, Solver, Stats, Stopwatch, as_columns, relative
from rfjax.regression.solvers.checkpoint import Checkpoint
from rfjax.regression.solvers.preconditioner import NAMES, preconditioner

_TOLERANCE = {"float64": 1e-8}  # otherwise 1e-4, which float32 products allow at most ridges
_INNER = 3e-5  # what float32 reaches of a right-hand side before its rounding shows
_REFINEMENTS = 12
_LEEWAY = 10  # times the tolerance that is accepted of itself where rounding allows no less
_CHUNK = 10  # steps between reports and checkpoints


class ConjugateGradients(Solver):
    """(k(X) + ridge·I)α = y by conjugate gradients, many right-hand sides at once, preconditioned at low rank.

        P = FᵀF + ridge·I,  k(X) ≈ FᵀF by `rank` columns: preconditioner "rpcholesky" (pivots drawn by the residual
        diagonal), "nystrom" (drawn uniformly) or "none"

    It stops at ‖(K + ridge·I)α − y‖ <= tolerance·‖y‖ for every column (default 1e-8, in float32 1e-4), and the residual is
    computed anew before it is believed: steps go on from it until it holds.  Where no tolerance was asked for, up to ten
    times the default is accepted if the rounding of K's entries allows no less, 4·eps·√n·max k(x, x)·‖α‖.

    precision="mixed" takes its steps in float32 and residuals in float64 (iterative refinement); "auto" does so for
    float64 data where the ridge is large enough, beside the trace, for float32 to help.  Memory: the factor, n·rank
    numbers; `rank` is by default about 2√n.

    `progress` is True for a bar, or a function of (steps, most steps).  With `checkpoint`, a path, a long solve that is
    killed goes on from there when it is called again with the same data.  `key` makes the preconditioner, which leaves
    the answer as it is to tolerance (default `jax.random.key(0)`).

    X may lie in rows over the devices of a mesh: then so does all of the work.  Eager and under `jax.jit` (where it is
    one precision, without report or checkpoint).  Díaz, Epperly, Frangella, Tropp & Webber 2023.
    """

    tolerance: float | None = eqx.field(static=True, default=None)
    rank: int | None = eqx.field(static=True, default=None)
    preconditioner: str = eqx.field(static=True, default="rpcholesky")
    max_iterations: int = eqx.field(static=True, default=1000)
    precision: str = eqx.field(static=True, default="auto")
    key: PRNGKeyArray | None = None
    progress: bool | Progress = eqx.field(static=True, default=False)
    checkpoint: str | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.tolerance is not None:
            checks.number("tolerance", self.tolerance, above=0.0)
        if self.rank is not None:
            checks.count("rank", self.rank, least=0)
        checks.choice("preconditioner", self.preconditioner, NAMES)
        checks.count("max_iterations", self.max_iterations)
        checks.choice("precision", self.precision, ("auto", "full", "mixed"))

    @property
    def name(self) -> str:
        return "cg"

    @property
    def streams(self) -> bool:
        return False

    def solve(self, kernel: Kernel, X: Any, y: Float[Array, "n ..."], ridge: Any, *, throw: bool) -> Solution:
        watch = Stopwatch()
        operator = GramOperator(kernel, X)
        dtype = jnp.result_type(kernel.diag(X[:1]), y)
        b = as_columns(y).astype(dtype)
        shift = jnp.asarray(ridge, dtype)
        traced = checks.is_traced(b, shift, X, kernel)
        rank = min(X.shape[0], round(2 * X.shape[0] ** 0.5) if self.rank is None else self.rank)
        tolerance = self.tolerance or _TOLERANCE.get(str(dtype), 1e-4)
        mixed = not traced and self._is_mixed(operator, shift, str(dtype))
        inner = operator.astype("float32") if mixed else operator
        working = inner.X.dtype if mixed else dtype
        key = jax.random.key(0) if self.key is None else self.key
        inverse = preconditioner(self.preconditioner, inner.kernel, inner.X, shift.astype(working), rank, key)
        if traced:
            state = krylov.State.start(b)
            target = tolerance * state.size
            state = _advance(operator, inverse, shift, state, target, self.max_iterations)
            solution, steps = state.solution, state.step
            residual = relative(_residual(operator, shift, solution, b), b)
            extremes = jnp.stack([state.least, state.most]) - shift
        else:
            checkpoint = Checkpoint.of(self.checkpoint, operator.kernel, operator.X, b, shift)
            solution, residual, taken, extremes = self._refine(
                operator, inner, inverse, shift, b, tolerance, working, checkpoint
            )
            steps = jnp.asarray(taken, jnp.int32)
            if throw:
                check_spectrum(extremes, _scale(extremes, shift), size=X.shape[0])
        definite = extremes[0] >= -rounding(extremes, _scale(extremes, shift), size=X.shape[0])
        allowed = self._allowed(operator, solution, b, tolerance)
        ok = (residual <= (2 * allowed if traced else allowed)) & definite
        if not traced and ok:
            checkpoint.remove()
        solution = _checked(solution, ok, residual, tolerance, steps, str(dtype), throw)
        memory = b.dtype.itemsize * (5 * b.size) + working.itemsize * X.shape[0] * rank
        seconds = watch.read(solution)
        stats = Stats(self.name, "dual", str(dtype), X.shape[0], ridge, residual, ok, steps, seconds, memory=memory)
        return Solution(X, solution.reshape(y.shape), stats)

    def _allowed(
        self, operator: GramOperator, solution: Float[Array, "n c"], b: Float[Array, "n c"], tolerance: float
    ) -> Float[Array, ""]:
        """The residual to be reached: that asked for, or else what errors eps·k of K's entries make of it, to ten times."""
        if self.tolerance is not None:
            return jnp.asarray(tolerance, b.dtype)
        entry = jnp.finfo(b.dtype).eps * operator.kernel.diag(operator.X).max()
        size = jnp.linalg.norm(b, axis=0)
        grown = jnp.max(jnp.linalg.norm(solution, axis=0) / jnp.where(size == 0, jnp.inf, size))
        return jnp.clip(4 * entry * grown * b.shape[0] ** 0.5, tolerance, _LEEWAY * tolerance)

    def _is_mixed(self, operator: GramOperator, ridge: Float[Array, ""], dtype: str) -> bool:
        if self.precision != "auto":
            return self.precision == "mixed" and dtype == "float64"
        trace = float(operator.kernel.diag(operator.X).sum())
        return dtype == "float64" and float(ridge) > 10 * float(np.finfo(np.float32).eps) * trace

    def _refine(
        self,
        operator: GramOperator,
        inner: GramOperator,
        inverse: Any,
        ridge: Float[Array, ""],
        b: Float[Array, "n c"],
        tolerance: float,
        working: Any,
        checkpoint: Checkpoint,
    ) -> tuple[Float[Array, "n c"], Float[Array, ""], int, Float[Array, " 2"]]:
        """Solve, compute the residual anew, and solve for what is left, until it holds or no longer falls.

        Last comes between what the eigenvalues of K lie at least, as far as the steps have seen.
        """
        solution, left = jnp.zeros_like(b), b
        size = jnp.linalg.norm(b, axis=0)
        reached, steps, extremes = relative(left, b), 0, jnp.zeros(2, working)
        found = checkpoint.read()
        if found is not None:
            solution, steps = jnp.asarray(found[0], b.dtype), int(found[1])
            left = _residual(operator, ridge, solution, b)
            reached = relative(left, b)
        with reporter(self.progress, self.max_iterations, "conjugate gradients") as report:
            for _ in range(_REFINEMENTS):
                if not reached > tolerance or steps >= self.max_iterations:
                    break
                floor = _INNER if working == jnp.float32 else 1e-12
                goal = jnp.maximum(0.5 * tolerance * size, floor * jnp.linalg.norm(left, axis=0)).astype(working)
                state = krylov.State.start(left.astype(working))
                before = steps
                while steps < self.max_iterations and bool((state.size > goal).any()):
                    chunk = min(_CHUNK, self.max_iterations - steps)
                    state = _advance(inner, inverse, ridge.astype(working), state, goal, state.step + chunk)
                    steps = before + int(state.step)
                    if report is not None:
                        report(steps)
                    checkpoint.write(solution + state.solution.astype(b.dtype), steps)
                    extremes = jnp.stack([state.least, state.most]) - ridge.astype(working)
                    negative = extremes[0] < -rounding(extremes, _scale(extremes, ridge), size=b.shape[0])
                    if bool(negative | ~jnp.isfinite(state.size).all()):
                        return solution, reached, steps, extremes
                trial = solution + state.solution.astype(b.dtype)
                remaining = _residual(operator, ridge, trial, b)
                now = relative(remaining, b)
                if not now < reached:
                    break
                stalled = now > 0.5 * reached
                solution, left, reached = trial, remaining, now
                if stalled:
                    break
        return solution, reached, steps, extremes


@eqx.filter_jit
def _advance(
    operator: GramOperator,
    inverse: Any,
    ridge: Float[Array, ""],
    state: krylov.State,
    target: Float[Array, " c"],
    until: Any,
) -> krylov.State:
    return krylov.advance(partial(_shifted, operator, ridge), inverse, state, target, until)


@eqx.filter_jit
def _residual(
    operator: GramOperator, ridge: Float[Array, ""], solution: Float[Array, "n c"], b: Float[Array, "n c"]
) -> Float[Array, "n c"]:
    return b - _shifted(operator, ridge, solution)


def _shifted(operator: GramOperator, ridge: Float[Array, ""], V: Float[Array, "n c"]) -> Float[Array, "n c"]:
    return operator(V) + ridge * V


def _scale(extremes: Float[Array, " 2"], ridge: Float[Array, ""]) -> Float[Array, ""]:
    """The size of K + ridge·I, by which what was computed of K alone is rounded."""
    return jnp.abs(extremes).max() + ridge.astype(extremes.dtype)


def _checked(
    solution: Array, ok: Array, residual: Array, tolerance: float, steps: Any, dtype: str, throw: bool
) -> Array:
    if not throw:
        return solution
    if checks.is_traced(ok):
        message = "conjugate gradients did not reach their tolerance (eager calls say what they reached)"
        return eqx.error_if(solution, ~ok, message)
    if not ok:
        raise ValueError(
            f"conjugate gradients reached a relative residual of {float(residual):.2g} in {int(steps)} steps in {dtype}, "
            f"not the tolerance {tolerance:.2g}: a larger ridge, rank or tolerance helps"
            + ("" if dtype == "float64" else ", or float64")
        )
    return solution

"""Regression restricted to some centres, for n in the millions: the data stream past a system of that size."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.kernels import Kernel
from rfjax.kernels.centres import CHOICES, choose_centres, some, whitening
from rfjax.numerics import (
    from_stripes,
    gram_stripes,
    shifted_cholesky,
    solve_factored,
    solve_lower,
    whitened,
)
from rfjax.progress import Progress, reporter
from rfjax.regression.gram import check_spectrum
from rfjax.regression.solvers import krylov
from rfjax.regression.solvers.base import Solution, Solver, Stats, Stopwatch, as_columns
from rfjax.regression.solvers.checkpoint import Checkpoint
from rfjax.regression.solvers.columns import Columns, streamed, weighted
from rfjax.regression.solvers.stream import Block, Stream

_TOLERANCE = {"float64": 1e-8}
_WORTH, _WORTH_KEPT = 1000, 400  # n/m² rows a centre in the preconditioner cost what the steps do that they save
_MOST, _LEAST = 4, 2  # of them; fewer know less than the centres themselves, if those are rows drawn uniformly

_solved = jax.jit(solve_lower)
_unwhitened = jax.jit(partial(solve_lower, transposed=True))
_factored = jax.jit(solve_factored)
_stripes = jax.jit(partial(gram_stripes, triangular=True))

Stripes = tuple[Float[Array, "..."], ...]


class Nystrom(Solver):
    """f(x) = k(x, Z)β for centres Z, rows of X, by conjugate gradients that stream the data.

        min_β ‖k(X, Z)β − y‖² + ridge·βᵀk(Z, Z)β
        T Tᵀ = k(Z, Z);  φ(x) = T⁻¹k(Z, x):   (ΦᵀΦ + ridge·I)c = Φᵀy,  β = T⁻ᵀc
        preconditioner:  (n/s)·Φ_SᵀΦ_S + ridge·I  from s rows S, up to four a centre, or from many uniform centres: Φ_Z = T

    With all points as centres this is kernel ridge regression; with m centres it costs n·m kernel entries a step, or a
    reading of them where all have room in the memory bound (2 GiB, 4 on accelerators; `rf.kernels.memory_bound`).
    `centres` is their number (default 5√n) or the points themselves [m, d]; `choice` draws them uniformly ("uniform"),
    by randomly pivoted Cholesky ("rpcholesky"), by approximate ridge leverage scores ("leverage") or as the means of
    clusters ("kmeans"), the latter three among 20,000 rows.  X may be a NumPy array or a memory map on disk, float32
    for half the reading.  It stops at a relative residual of `tolerance` of the whitened equations above (1e-8; in
    float32 1e-4).

    Eager only: under `jax.jit` nothing could be streamed.  `key`, `progress` and `checkpoint` as in ConjugateGradients,
    but that here the key draws the centres and so the answer; it is required unless the centres are given.
    Williams & Seeger 2001; Rudi, Carratino & Rosasco 2017 (Falkon).
    """

    centres: Any = None
    choice: str = eqx.field(static=True, default="uniform")
    tolerance: float | None = eqx.field(static=True, default=None)
    max_iterations: int = eqx.field(static=True, default=300)
    key: PRNGKeyArray | None = None
    progress: bool | Progress = eqx.field(static=True, default=False)
    checkpoint: str | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        checks.choice("choice", self.choice, CHOICES)
        checks.count("max_iterations", self.max_iterations)
        if self.tolerance is not None:
            checks.number("tolerance", self.tolerance, above=0.0)
        if self.centres is not None and not getattr(self.centres, "ndim", 0):
            checks.count("centres", self.centres)

    @property
    def name(self) -> str:
        return "nystrom"

    @property
    def streams(self) -> bool:
        return True

    def solve(self, kernel: Kernel, X: Any, y: Float[Array, "n ..."], ridge: Any, *, throw: bool) -> Solution:
        watch = Stopwatch()
        Z = self._points(kernel, X, float(ridge))
        T = whitening(kernel, Z)
        if not bool(jnp.isfinite(T).all()):
            check_spectrum(jnp.linalg.eigvalsh(kernel(Z)))
            raise ValueError("k(Z, Z) of the centres is not positive semi-definite: is the kernel symmetric?")
        return self.restricted(kernel, X, y, ridge, Z, T, watch=watch, throw=throw)

    def restricted(
        self,
        kernel: Kernel,
        X: Any,
        y: Float[Array, "n ..."],
        ridge: Any,
        Z: Float[Array, "m d"],
        T: Float[Array, "m m"],
        *,
        watch: Stopwatch,
        throw: bool,
    ) -> Solution:
        """`solve` for centres Z whose factor T is there already."""
        m = Z.shape[0]
        dtype = jnp.result_type(kernel.diag(Z[:1]), y)
        shift = jnp.asarray(ridge, dtype)
        columns = Columns(kernel, X, Z)
        b = _solved(T, columns.adjoint(np.asarray(as_columns(y)).astype(dtype)))
        inverse = self._preconditioner(kernel, X, Z, T, shift, worth=_WORTH_KEPT if columns.kept else _WORTH)

        def product(c: Float[Array, "m c"]) -> Float[Array, "m c"]:
            return _solved(T, columns.there_and_back(_unwhitened(T, c))) + shift * c

        tolerance = self.tolerance or _TOLERANCE.get(str(dtype), 1e-4)
        checkpoint = Checkpoint.of(self.checkpoint, kernel, Z, b, shift)
        c, reached, steps = self._steps(product, inverse, b, tolerance, checkpoint)
        ok = jnp.asarray(reached <= tolerance)
        if throw and not ok:
            raise ValueError(
                f"conjugate gradients on {m} centres reached a relative residual of {reached:.2g} in {steps} steps in "
                f"{dtype}, not the tolerance {tolerance:.2g}: a larger ridge or tolerance helps"
            )
        beta = _unwhitened(T, c)
        memory = columns.memory + dtype.itemsize * (3 * m * m + 6 * c.size)
        stats = Stats(
            self.name,
            "restricted",
            str(dtype),
            m,
            ridge,
            jnp.asarray(reached, dtype),
            ok,
            steps,
            watch.read(beta),
            memory=memory,
        )
        return Solution(Z, beta.reshape((m, *y.shape[1:])), stats)

    def _steps(
        self, product: Any, inverse: Any, b: Float[Array, "m c"], tolerance: float, checkpoint: Checkpoint
    ) -> tuple[Float[Array, "m c"], float, int]:
        size = jnp.linalg.norm(b, axis=0)
        state = krylov.State.start(b)
        found = checkpoint.read()
        if found is not None:
            solution = jnp.asarray(found[0], b.dtype)
            state = state._replace(solution=solution, residual=b - product(solution), step=jnp.int32(found[1]))
        size = jnp.where(size == 0, 1, size)
        with reporter(self.progress, self.max_iterations, "nystrom") as report:
            while int(state.step) < self.max_iterations and bool((state.size > tolerance * size).any()):
                state = state.turned(inverse)
                state = state.moved(product(state.direction), tolerance * size)
                if report is not None:
                    report(state.step)
                checkpoint.write(state.solution, int(state.step))
        reached = float(jnp.max(state.size / size))
        if reached <= tolerance:
            checkpoint.remove()
        return state.solution, reached, int(state.step)

    def _points(self, kernel: Kernel, X: Any, ridge: float) -> Float[Array, "m d"]:
        if getattr(self.centres, "ndim", 0):
            return checks.points("centres", self.centres, columns=X.shape[1])
        n = X.shape[0]
        m = min(n, round(5 * n**0.5) if self.centres is None else int(self.centres))
        return choose_centres(kernel, X, m, self.choice, ridge=ridge, key=checks.prng_key("key", self.key))

    def _preconditioner(
        self,
        kernel: Kernel,
        X: Any,
        Z: Float[Array, "m d"],
        T: Float[Array, "m m"],
        ridge: Float[Array, ""],
        *,
        worth: float,
    ) -> Callable[[Float[Array, "m c"]], Float[Array, "m c"]]:
        """(ΦᵀΦ + ridge·I)⁻¹, about, from some rows, whose draw changes the number of steps and not the answer."""
        n, m = X.shape[0], Z.shape[0]
        each = worth * n / m**2
        if each < _LEAST and self.choice == "uniform" and not getattr(self.centres, "ndim", 0):
            return partial(_factored, _cholesky(_stripes(T), n / m, ridge))
        size = min(n, round(m * min(max(each, 1), _MOST)))
        rows = streamed(Stream(X, m).take(some(jax.random.key(0), n, size)), m)
        stripes = reduce(_added, (_features(kernel, Z, T, block) for block in rows.blocks()))
        return partial(_factored, _cholesky(stripes, n / size, ridge))


@jax.jit
def _features(kernel: Kernel, Z: Float[Array, "m d"], T: Float[Array, "m m"], block: Block) -> Stripes:
    """Φ of a block, as the stripes of ΦᵀΦ."""
    return gram_stripes(whitened(T, weighted(kernel, Z, block)))


@partial(jax.jit, donate_argnums=0)
def _added(total: Stripes, part: Stripes) -> Stripes:
    return jax.tree.map(jnp.add, total, part)


@jax.jit
def _cholesky(stripes: Stripes, scale: float, ridge: Float[Array, ""]) -> Float[Array, "m m"]:
    return shifted_cholesky(scale * from_stripes(stripes, lower=True), ridge)[0]

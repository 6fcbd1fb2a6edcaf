"""Which solver, for how many points, in how much memory: `solver="auto"`, which says why."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.kernels import Kernel
from rfjax.regression.solvers.base import Solution, Solver
from rfjax.regression.solvers.cholesky import Cholesky
from rfjax.regression.solvers.conjugate_gradients import ConjugateGradients
from rfjax.regression.solvers.eigenpro import EigenPro
from rfjax.regression.solvers.nystrom import Nystrom

NAMES = {"cholesky": Cholesky, "cg": ConjugateGradients, "nystrom": Nystrom, "eigenpro": EigenPro}
_DIRECT = 20_000  # points to which n³/3 operations of a matrix product cost less than some fifty passes over n² entries
_SMALL = 2048  # points whose matrix any device holds
_PASSES = 200_000  # points to which one pass over the n² entries takes seconds to minutes
_FACTORED = 300  # points a product with their matrix, as many of which take the time of its factorisation


class Attempt(Solver):
    """Conjugate gradients for about as long as a factorisation takes, and then, where they have not arrived, that."""

    first: ConjugateGradients
    otherwise: Cholesky

    @property
    def name(self) -> str:
        return self.first.name

    @property
    def streams(self) -> bool:
        return False

    def solve(self, kernel: Kernel, X: Any, y: Float[Array, "n ..."], ridge: Any, *, throw: bool) -> Solution:
        attempted = self.first.solve(kernel, X, y, ridge, throw=False)
        if attempted.stats.ok:
            return attempted
        solution = self.otherwise.solve(kernel, X, y, ridge, throw=throw)
        spent = replace(
            solution.stats,
            iterations=attempted.stats.iterations,
            seconds=attempted.stats.seconds + solution.stats.seconds,
        )
        return solution._replace(stats=spent)


def as_solver(solver: Any, key: PRNGKeyArray | None) -> Solver | None:
    """The solver of that name or the solver itself; None for "auto".

    **Raises** ValueError for an unknown name, TypeError for what is neither name nor solver.
    """
    if isinstance(solver, Solver):
        return solver
    if not isinstance(solver, str):
        raise TypeError(f"solver must be a name or a solver (rf.solvers.ConjugateGradients(), say), got {solver!r}")
    checks.choice("solver", solver, ("auto", *NAMES))
    if solver == "nystrom":
        return Nystrom(key=key)
    return None if solver == "auto" else NAMES[solver]()


def choose(X: Any, key: PRNGKeyArray | None, *, traced: bool) -> tuple[Solver, str]:
    """The solver for n points of this dtype, and why.

    Cholesky where its matrix fits into half of the free memory and n <= 20,000 (exact, no settings); beyond that
    conjugate gradients to n = 200,000, and then 5√n centres, which `key` draws.  Where the matrix fits, steps of conjugate
    gradients that take as long as its factorisation are enough: without success it is Cholesky after all.  Under tracing it
    is Cholesky: how much memory there is, is not known there.
    """
    n = X.shape[0]
    if traced:
        return Cholesky(), "under tracing"
    matrix, free = n * n * X.dtype.itemsize, free_memory()
    spread = isinstance(X, jax.Array) and len(X.sharding.device_set) > 1
    if spread and n > _SMALL:
        return ConjugateGradients(), f"the {n} points are spread over devices"
    if n <= _DIRECT and matrix <= free / 2:
        return Cholesky(), f"the {n} x {n} matrix takes {_gib(matrix)} of {_gib(free)}"
    if n <= _PASSES and matrix > free / 2:
        return ConjugateGradients(), f"the {n} x {n} matrix ({_gib(matrix)}) does not fit"
    if n <= _PASSES:
        tried = Attempt(ConjugateGradients(max_iterations=n // _FACTORED), Cholesky())
        return tried, f"to factor the {n} x {n} matrix ({_gib(matrix)}) costs {n // _FACTORED} products with it"
    return Nystrom(key=key), f"{n} points: a single product with their matrix takes minutes"


def free_memory() -> int:
    """Bytes on the default device that are not in use; of a CPU those of the machine."""
    device = jax.local_devices()[0]
    stats = None if device.platform == "cpu" else device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _gib(nbytes: float) -> str:
    return f"{nbytes / 2**30:.3g} GiB"

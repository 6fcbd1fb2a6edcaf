"""Preconditioned stochastic gradient descent: memory of the order of n, no factor and no Krylov space."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rfjax import checks
from rfjax.kernels import Kernel
from rfjax.numerics import adjoint_matmul, matmul
from rfjax.progress import Progress, reporter
from rfjax.regression.gram import check_spectrum
from rfjax.regression.solvers.base import Solution, Solver, Stats, Stopwatch, as_columns, relative
from rfjax.regression.solvers.checkpoint import Checkpoint
from rfjax.regression.solvers.stream import Stream

_ENTRIES = 2**24  # of a block of k(batch, X)


class EigenPro(Solver):
    """(k(X) + ridge·I)α = y by mini-batch gradient descent whose top directions are damped.

        K_S = k(X_S),  K_S e_i = σ_i e_i for a subsample S of s points;  r = ridge·s/n
        D_i = (1 − (σ_{q+1} + r)/(σ_i + r))/σ_i,  i <= q
        g = k(X_B, X)α + ridge·α_B − y_B                          for the next batch B of a random order
        α_B −= (η/|B|)·g;   α_S += (η/|B|)·E D Eᵀ k(X_S, X_B)g

    Damping the q top directions lets the batch and the step η be large: η = 0.9·|B|/(β + ridge + (|B|−1)(σ_{q+1}/|S| +
    ridge/n)) with β the largest damped diagonal.  A divergent step is halved.  Memory beside X: α, a batch, and |S|·q.
    It converges slowly in directions of small eigenvalues: an accuracy of 1e-3 is what it is for, or early stopping.

    `tolerance` (default 1e-3) is of the relative residual ‖(K + ridge·I)α − y‖/‖y‖, estimated over an epoch and then
    computed; `epochs` the most passes; `key` orders the batches (default `jax.random.key(0)`; the answer is the same to
    tolerance).  X may be a NumPy array or a memory map.  Eager only.  `progress`, `checkpoint` as in ConjugateGradients.
    Ma & Belkin 2019 (EigenPro 2).
    """

    tolerance: float = eqx.field(static=True, default=1e-3)
    epochs: int = eqx.field(static=True, default=100)
    batch: int | None = eqx.field(static=True, default=None)
    subsample: int | None = eqx.field(static=True, default=None)
    directions: int | None = eqx.field(static=True, default=None)
    key: PRNGKeyArray | None = None
    progress: bool | Progress = eqx.field(static=True, default=False)
    checkpoint: str | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        checks.number("tolerance", self.tolerance, above=0.0)
        checks.count("epochs", self.epochs)
        for name in ("batch", "subsample", "directions"):
            if getattr(self, name) is not None:
                checks.count(name, getattr(self, name))

    @property
    def name(self) -> str:
        return "eigenpro"

    @property
    def streams(self) -> bool:
        return True

    def solve(self, kernel: Kernel, X: Any, y: Float[Array, "n ..."], ridge: Any, *, throw: bool) -> Solution:
        watch = Stopwatch()
        n = X.shape[0]
        first = Stream(X, 1).take(slice(0, 1))
        dtype = jnp.result_type(kernel.diag(first), y)
        b = as_columns(jnp.asarray(y, dtype))
        key = jax.random.key(0) if self.key is None else checks.prng_key("key", self.key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        damping = _Damping.of(kernel, X, self._sample(rng, n), self._kept(n), float(ridge), n)
        batch = min(n, self.batch or 1024)
        stream = Stream(X, max(1, _ENTRIES // batch))
        size = jnp.linalg.norm(b, axis=0)
        size = jnp.where(size == 0, 1, size)
        checkpoint = Checkpoint.of(self.checkpoint, kernel, first, b, jnp.asarray(ridge, dtype))
        found = checkpoint.read()
        alpha, epoch = (jnp.zeros_like(b), 0) if found is None else (jnp.asarray(found[0], dtype), found[1])
        rate, reached = damping.rate(batch), np.inf
        with reporter(self.progress, self.epochs, "eigenpro") as report:
            while epoch < self.epochs:
                trial, square = alpha, jnp.zeros(b.shape[1], dtype)
                order = rng.permutation(n)
                for start in range(0, n, batch):
                    rows = order[start : start + batch]
                    rows = rows if len(rows) == batch else order[n - batch :]
                    points = stream.take(rows)
                    g = _outputs(kernel, stream, points, trial) + ridge * trial[rows] - b[rows]
                    trial = _step(trial, damping, kernel, points, jnp.asarray(rows), g, jnp.asarray(rate, dtype))
                    square = square + jnp.sum(g**2, axis=0)
                now = float(jnp.max(jnp.sqrt(square) / size))
                epoch += 1
                if not np.isfinite(now) or now > 2 * min(reached, 1e3):
                    rate /= 2
                    continue
                alpha, reached = trial, now
                checkpoint.write(alpha, epoch)
                if report is not None:
                    report(epoch)
                if reached <= self.tolerance:
                    break
        residual = relative(_full(kernel, stream, alpha) + ridge * alpha - b, b)
        ok = residual <= 1.1 * self.tolerance
        if throw and not ok:
            raise ValueError(
                f"eigenpro reached a relative residual of {float(residual):.2g} in {epoch} epochs, not the tolerance "
                f"{self.tolerance:.2g}: more epochs, a larger ridge or tolerance, or solver='cg'"
            )
        checkpoint.remove()
        memory = dtype.itemsize * (3 * b.size + min(_ENTRIES, n * batch) + damping.vectors.size * 2)
        stats = Stats(self.name, "dual", str(dtype), n, ridge, residual, ok, epoch, watch.read(alpha), memory=memory)
        return Solution(X, alpha.reshape(y.shape), stats)

    def _sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        count = min(n, self.subsample or (2000 if n < 100_000 else 8000))
        return np.sort(rng.choice(n, count, replace=False))

    def _kept(self, n: int) -> int:
        size = min(n, self.subsample or (2000 if n < 100_000 else 8000))
        return max(1, min(size - 1, self.directions or size // 10))


class _Damping(eqx.Module):
    """The top eigenvectors of a subsample, and what they are multiplied by."""

    points: Float[Array, "s d"]
    rows: Int[Array, " s"]
    vectors: Float[Array, "s q"]
    weights: Float[Array, " q"]
    ceiling: Float[Array, ""]
    tail: Float[Array, ""]

    @classmethod
    def of(cls, kernel: Kernel, X: Any, rows: np.ndarray, q: int, ridge: float, n: int) -> "_Damping":
        points = Stream(X, 1).take(rows)
        K = kernel(points)
        values, vectors = (v[..., ::-1] for v in jnp.linalg.eigh(K))
        check_spectrum(values[::-1])
        if values[0] == 0 and ridge == 0:
            raise ValueError(
                "the kernel is zero on a sample of the data, and ridge=0 leaves it singular: ridge=1 works"
            )
        top, next_ = values[:q], jnp.maximum(values[q], jnp.finfo(K.dtype).eps * values[0])
        share = ridge * len(rows) / n
        weights = jnp.where(top > next_, (1 - (next_ + share) / (top + share)) / jnp.where(top > next_, top, 1), 0)
        own = kernel.diag(points) - jnp.sum(weights * matmul(K, vectors[:, :q]) ** 2, axis=1)
        return cls(points, jnp.asarray(rows), vectors[:, :q], weights, own.max() + ridge, next_ / len(rows) + ridge / n)

    def rate(self, batch: int) -> float:
        """η."""
        return 0.9 * batch / float(self.ceiling + (batch - 1) * self.tail)


@jax.jit
def _step(
    alpha: Float[Array, "n c"],
    damping: _Damping,
    kernel: Kernel,
    points: Float[Array, "b d"],
    rows: Int[Array, " b"],
    g: Float[Array, "b c"],
    rate: Float[Array, ""],
) -> Float[Array, "n c"]:
    scale = rate / points.shape[0]
    inside = adjoint_matmul(damping.vectors, matmul(kernel(damping.points, points), g))
    correction = matmul(damping.vectors, damping.weights[:, None] * inside)
    return alpha.at[rows].add(-scale * g).at[damping.rows].add(scale * correction)


def _outputs(kernel: Kernel, stream: Stream, points: Float[Array, "b d"], alpha: Float[Array, "n c"]) -> Array:
    """k(points, X)α, the rows of X streamed."""
    total = jnp.zeros((points.shape[0], alpha.shape[1]), alpha.dtype)
    for block in stream.blocks():
        total = total + kernel.matvec(points, block.X.astype(points.dtype), block.of(alpha))
    return total


def _full(kernel: Kernel, stream: Stream, alpha: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """k(X)α, both sides streamed."""
    if isinstance(stream.X, jax.Array):
        return kernel.matvec(stream.X, None, alpha)
    parts = [_outputs(kernel, stream, block.X, alpha)[: block.length] for block in stream.blocks()]
    return jnp.concatenate(parts)

"""Gradient flow under a fixed kernel: by one eigendecomposition, or without the matrix by Lanczos."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.dynamics.lanczos import krylov
from rfjax.dynamics.problem import alive, combine, prepare, project, spectrum
from rfjax.dynamics.trajectory import Trajectory, as_times
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.numerics import matmul, safe_divide
from rfjax.regression import Start

SOLVERS = ("eigh", "lanczos")


class GradientFlow(Trajectory):
    """df/dt = −K(f − y)/n from f = start, at any time t >= 0 (jnp.inf allowed); made by `rf.gradient_flow`.

        f_t(x) = start(x) + k(x, X) V·diag((1 − e^{−λt/n})/λ)·Vᵀ(y − start(X))

    `eigenvalues` [n], ascending, and `eigenvectors` [n, n] are those of K = k(X); `projections` [n, ...] are
    Vᵀ(y − start(X)).  Directions of K with λ <= eps·n·λ_max do not move: they are zero to working precision, and at
    t = ∞ the answer is the minimum-norm interpolant.
    """

    kernel: Kernel
    X: Float[Array, "n d"]
    start: Start | None
    eigenvalues: Float[Array, " n"]
    eigenvectors: Float[Array, "n n"]
    projections: Float[Array, "n ..."]

    def _times(self, t: ArrayLike) -> Float[Array, "..."]:
        return as_times(t, self.eigenvalues.dtype)

    def _moved(self, times: Float[Array, " T"], X: Float[Array, "m d"]) -> Float[Array, "T m ..."]:
        gains = flow_gains(self.eigenvalues, times, self.X.shape[0])
        return combine(self.kernel(X, self.X), self.eigenvectors, gains, self.projections)


class KrylovFlow(Trajectory):
    """The same flow, K never formed: each column b of y − start(X) in its Krylov space, spanned by b, Kb, K²b, …

        K V ≈ V T,  V [n, rank] by Lanczos from b/‖b‖;   T = S diag(θ) Sᵀ
        f_t(x) = start(x) + k(x, X) V S·diag((1 − e^{−θt/n})/θ)·Sᵀe₁‖b‖

    For every column c of y: `eigenvalues` [c, rank] are the Ritz values θ, `eigenvectors` [c, rank, n] the Ritz vectors,
    `projections` [c, rank] their share of b; `remainders` [c, rank] make the error.  Saad 1992, *Analysis of some Krylov
    subspace approximations to the matrix exponential operator*.
    """

    kernel: Kernel
    X: Float[Array, "n d"]
    start: Start | None
    eigenvalues: Float[Array, "c rank"]
    eigenvectors: Float[Array, "c rank n"]
    projections: Float[Array, "c rank"]
    remainders: Float[Array, "c rank"]
    tolerance: Float[Array, ""] | float
    trailing: tuple[int, ...] = eqx.field(static=True)

    def error(self, t: ArrayLike) -> Float[Array, "..."]:
        """A bound on the error at the training points, ‖f_t(X) − exact‖/‖y − start(X)‖, the largest over columns of y.

            β|e_rᵀ a(t)|/‖b‖,   a(t) = (I − e^{−Tt/n})T⁻¹e₁‖b‖,   K V = V T + β v e_rᵀ

        It grows with t; at t = ∞ it is the relative residual of conjugate gradients.  t of shape [T] gives [T].
        It leaves out what rounding adds.  Raises ValueError for a negative or NaN time.
        """
        times = self._times(t)
        errors = _errors(self.eigenvalues, self.projections, self.remainders, times.reshape(-1), self.X.shape[0])
        return errors.reshape(times.shape)

    def _times(self, t: ArrayLike) -> Float[Array, "..."]:
        return as_times(t, self.eigenvalues.dtype)

    def _moved(self, times: Float[Array, " T"], X: Float[Array, "m d"]) -> Float[Array, "T m ..."]:
        errors = self.error(times)
        if not checks.is_traced(errors, self.tolerance) and not bool((errors <= self.tolerance).all()):
            raise ValueError(
                f"rank={self.eigenvalues.shape[1]} leaves a relative error of {float(errors.max()):.1e} at "
                f"t={float(times.max()):g}, more than tolerance={float(self.tolerance):g}: give a larger rank, an earlier "
                "time, or another tolerance"
            )
        coefficients = _coefficients(self.eigenvalues, self.eigenvectors, self.projections, times, self.X.shape[0])
        moved = self.kernel.matvec(X, self.X, coefficients)
        return jnp.moveaxis(moved.reshape(X.shape[0], times.shape[0], *self.trailing), 1, 0)


@partial(jax.jit, static_argnames="size")
def flow_gains(eigenvalues: Float[Array, " r"], times: Float[Array, " T"], size: int) -> Float[Array, "T r"]:
    """(1 − e^{−λt/n})/λ with n = `size`, and 0 for eigenvalues that are zero to working precision."""
    moving = alive(eigenvalues, size)
    safe = jnp.where(moving, eigenvalues, 1)
    return jnp.where(moving, -jnp.expm1(-safe * (times[:, None] / size)) / safe, 0)


@partial(jax.jit, static_argnames="size")
def _errors(
    eigenvalues: Float[Array, "c rank"],
    projections: Float[Array, "c rank"],
    remainders: Float[Array, "c rank"],
    times: Float[Array, " T"],
    size: int,
) -> Float[Array, " T"]:
    gains = jax.vmap(flow_gains, (0, None, None))(eigenvalues, times, size)  # [c, T, rank]
    left = jnp.abs(jnp.sum(gains * remainders[:, None], axis=-1))
    return jnp.max(safe_divide(left, jnp.linalg.norm(projections, axis=-1)[:, None]), axis=0)


@partial(jax.jit, static_argnames="size")
def _coefficients(
    eigenvalues: Float[Array, "c rank"],
    eigenvectors: Float[Array, "c rank n"],
    projections: Float[Array, "c rank"],
    times: Float[Array, " T"],
    size: int,
) -> Float[Array, "n Tc"]:
    gains = jax.vmap(flow_gains, (0, None, None))(eigenvalues, times, size)
    columns = matmul(gains * projections[:, None], eigenvectors)  # [c, T, n]
    return columns.transpose(2, 1, 0).reshape(size, -1)


def gradient_flow(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    *,
    start: Start | None = None,
    solver: str = "eigh",
    rank: int | None = None,
    tolerance: float | None = None,
) -> GradientFlow | KrylovFlow:
    """Gradient flow on ½·mean‖f(x_i) − y_i‖² under a fixed kernel, for every time at once.

        df/dt = −k(·, X)(f(X) − y)/n,   f_0 = start (default zero)

    One eigendecomposition of K = k(X) serves all times; `flow(t, X_test)`, and `flow(jnp.inf, X_test)` is ridgeless
    regression; `flow.path(times, X_val, y_val)` tells when to stop.  Time has the unit of 1/K: a mode of eigenvalue λ
    decays as e^{−λt/n}, and t is learning rate × steps of gradient descent.  For a network's linearisation from its
    own start use its empirical NTK and start=the network at θ₀.  Jacot, Gabriel & Hongler 2018; Lee et al. 2019.

    solver="lanczos" never forms K: `rank` (100) products of K with y, memory rank·n·c, and `flow.error(t)` beside the
    answer; eager calls raise where that is above `tolerance` (1e-4), which is relative to ‖y − start(X)‖.

    It jits and vmaps; derivatives pass through an eigendecomposition and need distinct eigenvalues.  **Raises**
    TypeError or ValueError for bad data or settings.
    """
    checks.choice("solver", solver, SOLVERS)
    if solver == "eigh" and (rank is not None or tolerance is not None):
        raise ValueError("rank= and tolerance= belong to solver='lanczos'; the eigendecomposition has neither")
    rank = 100 if rank is None else checks.count("rank", rank)
    tolerance = checks.number("tolerance", 1e-4 if tolerance is None else tolerance, above=0.0)
    kernel, X, residual, start = prepare(model, X, y, start)
    if solver == "lanczos":
        return _krylov_flow(kernel, X, residual, start, min(rank, X.shape[0]), tolerance)
    eigenvalues, eigenvectors = spectrum(kernel, X)
    return GradientFlow(kernel, X, start, eigenvalues, eigenvectors, project(eigenvectors, residual))


def _krylov_flow(
    kernel: Kernel, X: Float[Array, "n d"], b: Float[Array, "n ..."], start: Start | None, rank: int, tolerance: Any
) -> KrylovFlow:
    ritz, vectors, projections, remainders = krylov(kernel, X, b.reshape(b.shape[0], -1), rank)
    return KrylovFlow(kernel, X, start, ritz, vectors, projections, remainders, tolerance, b.shape[1:])

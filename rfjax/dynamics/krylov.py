"""Gradient flow for many points: in Krylov spaces, without the matrix, and with a bound on the error."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.dynamics.lanczos import krylov
from rfjax.dynamics.problem import alive, flow_gains
from rfjax.dynamics.trajectory import Trajectory, as_times
from rfjax.kernels import Kernel
from rfjax.numerics import matmul, safe_divide
from rfjax.regression import Start


class KrylovFlow(Trajectory):
    """The same flow, K never formed: each column b of y − start(X) in its Krylov space, spanned by b, Kb, K²b, …

        K V ≈ V T,  V [n, rank] by Lanczos from b/‖b‖;   T = S diag(θ) Sᵀ
        f_t(x) = start(x) + k(x, X) V S·diag((1 − e^{−θt/n})/θ)·Sᵀe₁‖b‖

    For every column c of y: `eigenvalues` [c, rank] are the Ritz values θ, `eigenvectors` [c, rank, n] the Ritz vectors,
    `projections` [c, rank] their share of b; `remainders` [c, rank] make the error.  Saad 1992, *Analysis of some Krylov
    subspace approximations to the matrix exponential operator*.

    Directions with θ <= eps·rank·θ_max do not move.
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


def krylov_flow(
    kernel: Kernel, X: Float[Array, "n d"], b: Float[Array, "n ..."], start: Start | None, rank: int, tolerance: Any
) -> KrylovFlow:
    """The flow that takes `start` to y = start(X) + b, by `rank` steps of Lanczos.  Raises ValueError as `krylov`."""
    ritz, vectors, projections, remainders = krylov(kernel, X, b.reshape(b.shape[0], -1), rank)
    return KrylovFlow(kernel, X, start, ritz, vectors, projections, remainders, tolerance, b.shape[1:])


@partial(jax.jit, static_argnames="size")
def _errors(
    eigenvalues: Float[Array, "c rank"],
    projections: Float[Array, "c rank"],
    remainders: Float[Array, "c rank"],
    times: Float[Array, " T"],
    size: int,
) -> Float[Array, " T"]:
    gains = jax.vmap(flow_gains, (0, None, None))(eigenvalues, times, size)  # [c, T, rank]
    cut = jnp.abs(jnp.sum(gains * remainders[:, None], axis=-1))
    # A Ritz value that counts as zero does not move.  Where it is none of K's eigenvalues, its share of b should have:
    # ‖(I − e^{−Kt/n})z‖ <= min(‖z‖, ‖Kz‖t/n).
    still = ~jax.vmap(alive)(eigenvalues)
    share, rate = jnp.abs(projections), jnp.abs(eigenvalues * projections) + jnp.abs(remainders)
    scale = jnp.finfo(share.dtype).eps * share.shape[1] * jnp.max(jnp.abs(eigenvalues), axis=1, keepdims=True)
    wrong = still & (rate > scale * share)
    moves = jnp.minimum(share[:, None], jnp.where(wrong, rate, 1)[:, None] * (times[:, None] / size))
    errors = cut + jnp.sum(jnp.where(wrong[:, None], moves, 0), axis=-1)
    return jnp.max(safe_divide(errors, jnp.linalg.norm(projections, axis=-1)[:, None]), axis=0)


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

"""Low-rank preconditioners of K + ridge·I: what makes conjugate gradients take tens of steps."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax.kernels import Kernel, pivoted_cholesky
from rfjax.kernels.centres import whitening
from rfjax.numerics import adjoint_matmul, gram, matmul, shifted_cholesky, solve_factored, solve_lower

NAMES = ("rpcholesky", "nystrom", "none")


class LowRank(eqx.Module):
    """P = FᵀF + μI for a factor F [rank, n], applied as P⁻¹v = (v − Fᵀ(μI + FFᵀ)⁻¹F v)/μ.

    μ = max(ridge, 10·eps·‖FFᵀ‖): below that v − Fᵀ(…)F v would be rounding.
    """

    factor: Float[Array, "rank n"]
    inner: Float[Array, "rank rank"]
    shift: Float[Array, ""]

    @classmethod
    def of(cls, factor: Float[Array, "rank n"], ridge: Float[Array, ""]) -> "LowRank":
        return _low_rank(factor, ridge)

    def __call__(self, V: Float[Array, "n c"]) -> Float[Array, "n c"]:
        """P⁻¹V."""
        inside = solve_factored(self.inner, matmul(self.factor, V))
        return (V - adjoint_matmul(self.factor, inside)) / self.shift


class Identity(eqx.Module):
    """No preconditioner."""

    def __call__(self, V: Float[Array, "n c"]) -> Float[Array, "n c"]:
        """V."""
        return V


@jax.jit
def _low_rank(factor: Float[Array, "rank n"], ridge: Float[Array, ""]) -> LowRank:
    return LowRank(factor, *shifted_cholesky(gram(factor, factor), ridge))


@eqx.filter_jit
def _nystrom_factor(kernel: Kernel, X: Float[Array, "n d"], rank: int, key: PRNGKeyArray) -> Float[Array, "rank n"]:
    """T⁻¹k(Z, X) with T Tᵀ = k(Z, Z) for `rank` points Z drawn uniformly."""
    Z = X[jax.random.choice(key, X.shape[0], (rank,), replace=False)]
    return solve_lower(whitening(kernel, Z), kernel(Z, X))


def preconditioner(
    name: str, kernel: Kernel, X: Float[Array, "n d"], ridge: Float[Array, ""], rank: int, key: PRNGKeyArray
) -> LowRank | Identity:
    """The preconditioner of k(X) + ridge·I of that name and rank."""
    if name == "none" or rank == 0:
        return Identity()
    if name == "nystrom":
        return LowRank.of(_nystrom_factor(kernel, X, rank, key), ridge)
    return LowRank.of(pivoted_cholesky(kernel, X, rank, key=key).factor, ridge)

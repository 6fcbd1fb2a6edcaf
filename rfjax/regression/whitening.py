"""What turns k(X) + diag(noise) into nearly the identity, so that Krylov spaces of it can be small."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax.kernels import Kernel, pivoted_cholesky
from rfjax.numerics import matmul


class Whitening(eqx.Module):
    """S with SSᵀ = P⁻¹ for P = D + FᵀF: the eigenvalues of SᵀAS are near 1 where P is near A.

        S = D^(−½)(I + U diag((1 + s²)^(−½) − 1)Uᵀ),    F D^(−½) = V diag(s) Uᵀ

    D is the noise, or 10·eps·‖F‖² where that is more (below it the product would be rounding), or 1 where both are 0.  Any
    P keeps log det A = log det SᵀAS + log det P exact.  Gardner et al. 2018.
    """

    deviation: Float[Array, " n"]
    basis: Float[Array, "n rank"]
    sizes: Float[Array, " rank"]

    @classmethod
    def of(
        cls, kernel: Kernel, X: Float[Array, "n d"], noise: Float[Array, "..."], *, rank: int, key: PRNGKeyArray
    ) -> "Whitening":
        """From `rank` randomly pivoted columns of k(X)."""
        n, dtype = X.shape[0], X.dtype
        factor = pivoted_cholesky(kernel, X, rank, key=key).factor if rank else jnp.zeros((0, n), dtype)
        variance = jnp.maximum(jnp.broadcast_to(noise, n), 10 * jnp.finfo(dtype).eps * (factor**2).sum()).astype(dtype)
        deviation = jnp.sqrt(jnp.where(variance > 0, variance, 1))
        basis, sizes, _ = jnp.linalg.svd((factor / deviation).T, full_matrices=False)
        return cls(deviation, basis, sizes)

    def __call__(self, V: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """S V."""
        return (self._shrunk(V).T / self.deviation).T

    def transposed(self, V: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """SᵀV."""
        return self._shrunk((V.T / self.deviation).T)

    def log_determinant(self) -> Float[Array, ""]:
        """log det P."""
        return 2 * jnp.log(self.deviation).sum() + jnp.log1p(self.sizes**2).sum()

    def _shrunk(self, V: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        inside = matmul(self.basis.T, V)
        return V + matmul(self.basis, ((jax.lax.rsqrt(1 + self.sizes**2) - 1) * inside.T).T)

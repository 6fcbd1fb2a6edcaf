"""Infinitely many infinitely wide networks in training: the mean and covariance of their functions at any time."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.dynamics.problem import as_kernel, combine, flow_gains, prepare, project, spectrum
from rfjax.dynamics.trajectory import as_times
from rfjax.kernels import Kernel
from rfjax.numerics import matmul


class Ensemble(eqx.Module):
    """Networks f_t trained by gradient flow from random starts f_0 ~ GP(0, k): made by `rf.ensemble`.

    With Θ the tangent kernel, and B_t(x) = Θ(x, X) V·diag((1 − e^{−λt/n})/λ)·Vᵀ, (λ, V) the eigenpairs of Θ(X):

        f_t(x) = f_0(x) + B_t(x)(y − f_0(X))
        mean(x) = B_t(x) y
        covariance(x, x') = k(x, x') − B_t(x) k(X, x') − k(x, X) B_t(x')ᵀ + B_t(x) k(X) B_t(x')ᵀ

    Times t >= 0, jnp.inf allowed, scalar or [T]; directions of Θ(X) with λ <= eps·n·λ_max do not move.
    Lee et al. 2019, *Wide neural networks of any depth evolve as linear models*, eq. 14–16.
    """

    nngp: Kernel
    ntk: Kernel
    X: Float[Array, "n d"]
    y: Float[Array, "n ..."]
    eigenvalues: Float[Array, " n"]
    eigenvectors: Float[Array, "n n"]

    def mean(self, t: ArrayLike, X: Float[Array, "m d"] | None = None) -> Float[Array, "..."]:
        """The mean over networks on X, by default the training points: [m, ...], with y's trailing shape; [T, m, ...].

        **Raises** TypeError or ValueError for bad data or times.
        """
        X, gains, shape = self._at(t, X)
        projections = project(self.eigenvectors, self.y)
        values = combine(self.ntk(X, self.X), self.eigenvectors, gains, projections)
        return values.reshape(shape + values.shape[1:])

    def variance(self, t: ArrayLike, X: Float[Array, "m d"] | None = None) -> Float[Array, "..."]:
        """The variance over networks of one output, at each point: [m], or [T, m].

        Right to eps·k(x, x); what rounding makes negative is 0.  **Raises** as `mean`.
        """
        X, gains, shape = self._at(t, X)
        own, cross, K = self.nngp.diag(X), self.nngp(X, self.X), self.nngp(self.X)
        values = _variances(own, cross, K, self.ntk(X, self.X), self.eigenvectors, gains)
        return values.reshape(shape + values.shape[1:])

    def covariance(self, t: ArrayLike, X: Float[Array, "m d"] | None = None) -> Float[Array, "..."]:
        """The covariance over networks of one output, between points: [m, m], or [T, m, m]; outputs are independent.

        **Raises** as `mean`.
        """
        X, gains, shape = self._at(t, X)
        own, cross, K = self.nngp(X), self.nngp(X, self.X), self.nngp(self.X)
        values = _covariances(own, cross, K, self.ntk(X, self.X), self.eigenvectors, gains)
        return values.reshape(shape + values.shape[1:])

    def _at(
        self, t: ArrayLike, X: Float[Array, "m d"] | None
    ) -> tuple[Float[Array, "m d"], Float[Array, "T n"], tuple[int, ...]]:
        """The points, the gains of the eigenvalues at every time, and the shape of t."""
        times = as_times(t, self.eigenvalues.dtype)
        if times.ndim > 1:
            raise ValueError(f"t must be a scalar or have shape [T], got {list(times.shape)}")
        X = self.X if X is None else checks.points("X", X, columns=self.X.shape[1])
        return X, flow_gains(self.eigenvalues, times.reshape(-1), self.X.shape[0]), times.shape


@jax.jit
def _variances(
    own: Float[Array, " m"],
    cross: Float[Array, "m n"],
    K: Float[Array, "n n"],
    tangent: Float[Array, "m n"],
    eigenvectors: Float[Array, "n n"],
    gains: Float[Array, "T n"],
) -> Float[Array, "T m"]:
    def one(gain: Float[Array, " n"]) -> Float[Array, " m"]:
        B = matmul(matmul(tangent, eigenvectors) * gain, eigenvectors.T)
        return jnp.maximum(own + jnp.sum(B * (matmul(B, K) - 2 * cross), axis=1), 0)

    return lax.map(one, gains)


@jax.jit
def _covariances(
    own: Float[Array, "m m"],
    cross: Float[Array, "m n"],
    K: Float[Array, "n n"],
    tangent: Float[Array, "m n"],
    eigenvectors: Float[Array, "n n"],
    gains: Float[Array, "T n"],
) -> Float[Array, "T m m"]:
    def one(gain: Float[Array, " n"]) -> Float[Array, "m m"]:
        B = matmul(matmul(tangent, eigenvectors) * gain, eigenvectors.T)
        half = matmul(B, (matmul(B, K) / 2 - cross).T)
        return own + (half + half.T)

    return lax.map(one, gains)


def ensemble(nngp: Kernel, ntk: Kernel, X: Float[Array, "n d"], y: Float[Array, "n ..."]) -> Ensemble:
    """Infinitely wide networks trained on (X, y) by gradient flow on ½·mean‖f(x_i) − y_i‖², all of them at once.

    `nngp` is the covariance of their functions at the start, `ntk` their tangent kernel: `rf.nngp(net)` and
    `rf.ntk(net)`.  `ens.mean(t, X)`, `ens.variance(t, X)` and `ens.covariance(t, X)` at any time t, in the units of
    `rf.gradient_flow`.  With the NNGP in both places only the last layers are trained, and at t = ∞ that is the
    Gaussian-process posterior without noise.  Lee et al. 2019.

    It jits and vmaps; derivatives pass through an eigendecomposition and need distinct eigenvalues.  **Raises**
    TypeError or ValueError for bad data.
    """
    nngp, ntk = as_kernel(nngp, "nngp"), as_kernel(ntk, "ntk")
    _, X, y, _ = prepare(ntk, X, y, None)
    return Ensemble(nngp, ntk, X, y, *spectrum(ntk, X))

"""Training in function space, solved in closed form: gradient flow under a fixed kernel."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.numerics import matmul
from rfjax.regression import Start, as_start, start_values, with_start


class GradientFlow(eqx.Module):
    """df/dt = −K(f − y)/n from f = start, at any time; made by `rf.gradient_flow`.

    `eigenvalues` [n], ascending, and `eigenvectors` [n, n] are those of K = k(X); `projections` [n, ...] are
    Vᵀ(y − start(X)).
    """

    kernel: Kernel
    X: Float[Array, "n d"]
    eigenvalues: Float[Array, " n"]
    eigenvectors: Float[Array, "n n"]
    projections: Float[Array, "n ..."]
    start: Start | None

    def __call__(self, t: ArrayLike, X: Float[Array, "m d"] | None = None) -> Float[Array, "..."]:
        """The function at time t >= 0 (jnp.inf allowed) on X [m, d], by default the training points.

            f_t(x) = start(x) + k(x, X) V·diag((1 − e^{−λt/n})/λ)·Vᵀ(y − start(X))

        t scalar gives [m, ...], t of shape [T] gives [T, m, ...].  Directions of K with λ <= eps·n·λ_max do not move:
        they are zero to working precision, and at t = ∞ the answer is the minimum-norm interpolant.

        **Raises** TypeError or ValueError for bad data, a negative or NaN time, or more than one axis of times.
        """
        times = jnp.asarray(t, self.eigenvalues.dtype)
        if times.ndim > 1:
            raise ValueError(f"t must be a scalar or have shape [T], got {list(times.shape)}")
        if not checks.is_traced(times) and not bool((times >= 0).all()):
            raise ValueError("t must be >= 0 (and not NaN)")
        X = self.X if X is None else checks.points("X", X, columns=self.X.shape[1])
        cross = matmul(self.kernel(X, self.X), self.eigenvectors)

        def at(time: Float[Array, ""]) -> Float[Array, "m ..."]:
            gain = _gain(self.eigenvalues, time / self.X.shape[0])
            gain = gain.reshape(-1, *[1] * (self.projections.ndim - 1))
            return with_start(matmul(cross, gain * self.projections), self.start, X)

        return jax.vmap(at)(times) if times.ndim else at(times)


def _gain(eigenvalues: Float[Array, " n"], time: Float[Array, ""]) -> Float[Array, " n"]:
    """(1 − e^{−λ·time})/λ, and 0 for eigenvalues that are zero to working precision."""
    floor = jnp.finfo(eigenvalues.dtype).eps * eigenvalues.shape[0] * jnp.max(jnp.abs(eigenvalues))
    alive = eigenvalues > floor
    safe = jnp.where(alive, eigenvalues, 1)
    return jnp.where(alive, -jnp.expm1(-safe * time) / safe, 0)


def gradient_flow(
    model: Kernel | FeatureMap, X: Float[Array, "n d"], y: Float[Array, "n ..."], *, start: Start | None = None
) -> GradientFlow:
    """Gradient flow on ½·mean‖f(x_i) − y_i‖² under a fixed kernel, for every time at once.

        df/dt = −k(·, X)(f(X) − y)/n,   f_0 = start (default zero)

    One eigendecomposition of K = k(X) serves all times; `flow(t, X_test)`, and `flow(jnp.inf, X_test)` is ridgeless
    regression.  For a network's linearisation from its own start use its empirical NTK and start=the network at θ₀.
    Jacot, Gabriel & Hongler 2018; Lee et al. 2019.

    It jits and vmaps; derivatives pass through an eigendecomposition and need distinct eigenvalues.  **Raises**
    TypeError or ValueError for bad data.
    """
    if not isinstance(model, (Kernel, FeatureMap)):
        raise TypeError(f"model must be a kernel or a feature map, got {type(model).__name__}")
    kernel = model.kernel if isinstance(model, FeatureMap) else model
    X = checks.points("X", X, columns=model.in_dim if isinstance(model, FeatureMap) else None)
    y = checks.targets("y", y, rows=X.shape[0])
    start = as_start(start)
    residual = y if start is None else y - start_values(start, X, y.shape)
    K = kernel(X)
    if K.shape[0] != X.shape[0]:
        raise ValueError(f"the Gram matrix has {K.shape[0]} rows for {X.shape[0]} points: use outputs='mean'")
    eigenvalues, eigenvectors = jnp.linalg.eigh(K)
    return GradientFlow(kernel, X, eigenvalues, eigenvectors, matmul(eigenvectors.T, residual.astype(K.dtype)), start)

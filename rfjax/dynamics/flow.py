"""Gradient flow under a fixed kernel."""

from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.dynamics.krylov import KrylovFlow, krylov_flow
from rfjax.dynamics.problem import combine, flow_gains, prepare, project, spectrum
from rfjax.dynamics.trajectory import Trajectory, as_times
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
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
        return krylov_flow(kernel, X, residual, start, min(rank, X.shape[0]), tolerance)
    eigenvalues, eigenvectors = spectrum(kernel, X)
    return GradientFlow(kernel, X, start, eigenvalues, eigenvectors, project(eigenvectors, residual))

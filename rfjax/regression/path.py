"""Ridge regression at many ridges from one factorisation, and how well each predicts the points it leaves out."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.regression.fit import FeatureFit, KernelFit, Start, as_start, start_values
from rfjax.regression.gram import as_points, square_gram
from rfjax.regression.solvers import Stats
from rfjax.regression.solvers.base import Stopwatch
from rfjax.regression.spectral import checked, dual, features

CRITERIA = ("loo", "gcv")


class RidgePath(eqx.Module):
    """Ridge regressions of y on X, one for each of the `ridges` [r]; made by `rf.ridge_path`.

    `coefficients` [r, n, ...] are those of the points, or [r, p, ...] of features.  `loo_residuals` [r, n, ...] are
    y_i − f_{−i}(x_i), f_{−i} being the fit to all points but the i-th.  `loo` [r, ...] is their mean square, an
    estimate of the error on new points, `gcv` [r, ...] the generalised cross-validation score, which estimates the
    same; `degrees_of_freedom` [r] = tr K(K + ridge·I)⁻¹ is the number of effective parameters.  `residual` [r] and
    `ok` [r] tell how well each system was solved; `seconds` is the time of all, 0 under tracing.
    """

    model: Kernel | FeatureMap
    X: Float[Array, "n d"]
    y: Float[Array, "n ..."]
    start: Start | None
    ridges: Float[Array, " r"]
    coefficients: Float[Array, "r ..."]
    loo_residuals: Float[Array, "r n ..."]
    loo: Float[Array, "r ..."]
    gcv: Float[Array, "r ..."]
    degrees_of_freedom: Float[Array, " r"]
    residual: Float[Array, " r"]
    ok: Bool[Array, " r"]
    seconds: float = 0.0

    @property
    def loo_predictions(self) -> Float[Array, "r n ..."]:
        """f_{−i}(x_i): what the fit to the other points says of each."""
        return self.y - self.loo_residuals

    def best(self, by: str = "loo") -> Float[Array, ""]:
        """The ridge of the smallest "loo" or "gcv" score, averaged over outputs.  Raises ValueError for other names."""
        return self.ridges[self._least(by)]

    def fit(
        self, *, ridge: Float[Array, ""] | float | None = None, index: Int[Array, ""] | int | None = None
    ) -> KernelFit | FeatureFit:
        """The fit at one `ridge` of the path, or at its `index`; by default at the best ridge by leave-one-out.

        **Raises** ValueError for a ridge that is not on the path, an index beyond it, or both at once.
        """
        if ridge is not None and index is not None:
            raise ValueError("ridge and index name the same thing: give one of them")
        at = self._least("loo") if ridge is index is None else self._at(ridge) if index is None else self._number(index)
        kernel = isinstance(self.model, Kernel)
        coefficients = self.coefficients[at]
        size = coefficients.shape[0] if kernel else min(coefficients.shape[0], self.X.shape[0])
        stats = Stats(
            solver="eigh",
            form="dual" if kernel or size < coefficients.shape[0] else "primal",
            dtype=str(coefficients.dtype),
            size=size,
            ridge=self.ridges[at],
            residual=self.residual[at],
            ok=self.ok[at],
            seconds=self.seconds,
            memory=coefficients.dtype.itemsize * (3 * size**2 + self.coefficients.size + self.loo_residuals.size),
            reason=f"one eigendecomposition for {self.ridges.shape[0]} ridges",
        )
        if isinstance(self.model, Kernel):
            return KernelFit(self.model, self.X, coefficients, self.start, stats)
        return FeatureFit(self.model, coefficients, self.start, stats)

    def _least(self, by: str) -> Int[Array, ""]:
        scores = getattr(self, checks.choice("by", by, CRITERIA))
        return jnp.argmin(jnp.where(self.ok, scores.reshape(scores.shape[0], -1).mean(axis=1), jnp.inf))

    def _at(self, ridge: Any) -> Int[Array, ""]:
        value = jnp.asarray(checks.number("ridge", ridge), self.ridges.dtype)
        at = jnp.argmin(jnp.abs(self.ridges - value))
        if not checks.is_traced(at, value) and self.ridges[at] != value:
            raise ValueError(f"ridge must be one of the path's, got {ridge}; the nearest is {float(self.ridges[at]):g}")
        return at

    def _number(self, index: Any) -> Any:
        if checks.is_traced(index):
            return index
        count, index = self.ridges.shape[0], index.item() if isinstance(index, jax.Array) else index
        if checks.count("index", index, least=-count) >= count:
            raise ValueError(f"index must be below {count}, the number of ridges, got {index}")
        return index


def ridge_path(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    ridges: Float[Array, " r"],
    *,
    start: Start | None = None,
    throw: bool = True,
) -> RidgePath:
    """Ridge regression at every one of the `ridges` [r], with exact leave-one-out errors, from one eigendecomposition.

        K = V diag(s) Vᵀ;   α = V (s + ridge)⁻¹ Vᵀ(y − start(X))                           (kernels, features with p >= n)
        ΦᵀΦ = V diag(s) Vᵀ;  c = V (s + ridge)⁻¹ Vᵀ Φᵀ(y − start(X))                       (features with p < n)
        loo_residuals_i = α_i/[(K + ridge·I)⁻¹]_ii = r_i/(1 − h_i),   r = y − f(X),   h_i = [K(K + ridge·I)⁻¹]_ii
        loo = mean of their squares;   gcv = n‖r‖²/(n − Σ_i h_i)²

    X [n, d], n >= 2; y [n] or [n, c]; everything else is matrix products.  `path.best()` is the ridge of the smallest
    error, `path.fit()` the regression there, as `rf.ridge_regression` makes it.  Ridges are absolute, as there.
    Allen 1974 (PRESS); Golub, Heath & Wahba 1979 (GCV).

    It jits and vmaps; derivatives pass through an eigendecomposition and need distinct eigenvalues.  **Raises**
    TypeError or ValueError for bad data; ValueError for a kernel that is not positive semi-definite, with its
    eigenvalue, and for ridges that leave the matrix singular or a point of leverage 1, with those that would not (under
    tracing the error comes at run time; with throw=False those have `path.ok` False and NaN in their row).
    """
    watch = Stopwatch()
    X = as_points(model, X)
    if X.shape[0] < 2:
        raise ValueError("X must have at least two rows, got 1: leaving one out leaves none")
    y = checks.targets("y", y, rows=X.shape[0])
    start = as_start(start)
    values = y if start is None else y - start_values(start, X, y.shape)
    b, grid = values.reshape(X.shape[0], -1), _grid(ridges, X)
    solve = partial(dual, square_gram(model, X)) if isinstance(model, Kernel) else partial(features, model(X))
    solved = checked(solve(b, grid), throw=throw)
    coefficients, loo_residuals = solved.coefficients, solved.loo_residuals
    trailing = y.shape[1:]
    return RidgePath(
        model=model,
        X=X,
        y=y.astype(coefficients.dtype),
        start=start,
        ridges=solved.ridges,
        coefficients=coefficients.reshape(*coefficients.shape[:2], *trailing),
        loo_residuals=loo_residuals.reshape(-1, *y.shape),
        loo=(loo_residuals**2).mean(axis=1).reshape(-1, *trailing),
        gcv=solved.gcv.reshape(-1, *trailing),
        degrees_of_freedom=solved.degrees_of_freedom,
        residual=solved.residual,
        ok=solved.ok,
        seconds=watch.read(coefficients),
    )


def _grid(ridges: Any, X: Float[Array, "n d"]) -> Float[Array, " r"]:
    grid = checks.floating("ridges", ridges)
    if grid.ndim != 1 or grid.shape[0] == 0:
        raise ValueError(f"ridges must have shape [r] with r >= 1, got {list(grid.shape)}")
    if not checks.is_traced(grid) and not bool((jnp.isfinite(grid) & (grid >= 0)).all()):
        raise ValueError(f"ridges must be finite numbers >= 0, got {np.asarray(grid).tolist()}")
    return grid.astype(X.dtype)

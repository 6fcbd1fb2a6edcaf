"""The error of kernel ridge regression on n samples, from the kernel's eigenvalues and the target's energies in them.

curve = rf.theory.kernel_learning_curve(modes, n=[10, 100, 1000], ridge=1e-3, noise=0.1)
curve.risk, curve.train_error, curve.learnability
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import ArrayLike, Float
from scipy.optimize import minimize_scalar

from rfjax import checks
from rfjax.theory.eigenmodes import Filter, Modes, as_modes, log_kappa
from rfjax.theory.spectra import Spectrum

_GRID, _DECADES = 200, 6.0  # of ln κ where the best ridge is looked for, past the largest eigenvalue


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Errors of ridge regression at each (n, ridge) of shape [...], averaged over samples."""

    n: Float[np.ndarray, "..."]
    """Samples."""
    ridge: Float[np.ndarray, "..."]
    """Absolute, as in rf.ridge_regression: (K + ridge·I)α = y."""
    risk: Float[np.ndarray, "..."]
    """E(f − g)² at fresh points, the label noise left out, as rf.population_risk has it; inf at an unridged peak."""
    test_error: Float[np.ndarray, "..."]
    """risk + noise: against fresh noisy labels."""
    train_error: Float[np.ndarray, "..."]
    """mean (f(x_i) − y_i)² over the samples."""
    kappa: Float[np.ndarray, "..."]
    """The eigenvalue above which modes are learned."""
    degrees_of_freedom: Float[np.ndarray, "..."]
    """Σ λ/(λ+κ): how many modes are learned."""
    learnability: Float[np.ndarray, "... m"]
    """L_m = λ_m/(λ_m+κ), the part of each mode that the mean of f has."""
    overfitting: Float[np.ndarray, "..."]
    """E₀ = n/(n − Σ L²), the factor by which the sample's own fluctuations raise the error."""


def kernel_learning_curve(
    modes: Modes | Spectrum, *, n: ArrayLike, ridge: ArrayLike, noise: float = 0.0
) -> LearningCurve:
    """The errors of kernel ridge regression on n samples of y = g(x) + noise, averaged over samples ("eigenlearning").

        Σ λ/(λ+κ) + ridge/κ = n,   L = λ/(λ+κ),   E₀ = n/(n − Σ L²)
        test_error = E₀·[Σ (1−L)² v² + outside + noise],   train_error = (ridge/(nκ))²·test_error

    with sums over eigenfunctions, N_m to each of `modes`.  n and ridge are numbers or arrays that broadcast; `noise` is
    the variance of the labels' noise.  Without a ridge, at an n above the rank of the kernel, κ = 0 and this is the
    error of least squares (inf at n = rank).

    **Range.** A deterministic equivalent: exact as n grows while eigenfunctions are as good as independent given the
    data (inputs of many dimensions).  Measured on zonal kernels at d = 10 and 30, Gaussian and spherical inputs: see
    docs/theory.md.  It needs ridge + unresolved trace not to be far below κn in few dimensions (d < 5), where
    eigenfunctions are too dependent.

    **Raises** ValueError for n < 1, a negative ridge or noise, values that are not finite, or shapes that do not
    broadcast.  Simon, Dickens, Karkada & DeWeese 2023, *The Eigenlearning Framework*; Bordelon, Canatar & Pehlevan 2020.
    """
    found, noise = as_modes(modes), float(checks.number("noise", noise, least=0.0))
    samples, ridges = broadcast(n=numbers("n", n, least=1.0), ridge=numbers("ridge", ridge, least=0.0))
    logs = np.array([log_kappa(found, a, b) for a, b in zip(samples.flat, ridges.flat, strict=True)])
    return _curve(found, samples, ridges, logs.reshape(samples.shape), noise)


def optimal_ridge(modes: Modes | Spectrum, *, n: ArrayLike, noise: float = 0.0) -> LearningCurve:
    """The curve of `kernel_learning_curve` at the ridge that is best at each n, which its field `ridge` has.

    Each ridge >= 0 is one κ, ridge = κ(n − Σ λ/(λ+κ)): the error is minimised over ln κ, first on a grid, then by
    Brent's method.  0 where no ridge is best, and a large one where the best prediction is nearly zero.

    **Raises** as `kernel_learning_curve`.
    """
    found, noise = as_modes(modes), float(checks.number("noise", noise, least=0.0))
    samples = numbers("n", n, least=1.0)
    logs = np.empty(samples.shape)
    for index, count in np.ndenumerate(samples):
        low = log_kappa(found, count)
        top = found.log_eigenvalues.max() + _DECADES * np.log(10)
        start = max(low, found.log_eigenvalues.min() - _DECADES * np.log(10) - np.log(count))
        grid = np.linspace(start, max(top, start), _GRID)

        def error(log: float | np.ndarray, count: float = float(count)) -> np.ndarray:
            return _curve(found, np.asarray(count), np.asarray(0.0), np.asarray(log), noise).test_error

        errors = error(grid)
        best = int(np.argmin(errors))
        around = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
        refined = minimize_scalar(error, bounds=around, method="bounded", options={"xatol": 1e-8})
        logs[index] = refined.x if best > 0 and refined.fun < errors[best] else grid[best]
        if error(low) <= error(logs[index]):
            logs[index] = low
    kappa, freedom = np.exp(logs), Filter(found, logs).freedom
    ridge = np.where(kappa > 0, kappa * np.maximum(samples - freedom, 0), 0.0)
    return _curve(found, samples, np.where(ridge > 1e-12 * kappa * samples, ridge, 0.0), logs, noise)


def numbers(name: str, value: ArrayLike, *, least: float) -> Float[np.ndarray, "..."]:
    """A number or an array of them as float64; raises TypeError or ValueError unless all are finite and >= least."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be real numbers, got {value!r}")
    bad = array[~(np.isfinite(array) & (array >= least))]
    if bad.size:
        raise ValueError(f"{name} must be finite and at least {least:g}, got {bad.flat[0]}")
    return array.astype(np.float64)


def broadcast(**arrays: Float[np.ndarray, "..."]) -> tuple[Float[np.ndarray, "..."], ...]:
    """The arrays at their common shape; the error names them and their shapes."""
    try:
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"{', '.join(arrays)} must broadcast to one shape, got {shapes}") from None


def _curve(
    modes: Modes,
    n: Float[np.ndarray, "..."],
    ridge: Float[np.ndarray, "..."],
    log: Float[np.ndarray, "..."],
    noise: float,
) -> LearningCurve:
    filtered, kappa = Filter(modes, log), np.exp(log)
    squares = filtered.freedom - filtered.between
    with np.errstate(divide="ignore", invalid="ignore"):
        overfitting = np.where(n > squares, n / (n - squares), np.inf)
        kept = (filtered.lost**2 * modes.energies).sum(-1) + modes.outside
        test = np.where(kept + noise > 0, overfitting * (kept + noise), 0.0)
        residual = np.where(kappa > 0, ridge / (n * kappa), 1 - squares / n)
        train = np.where(residual > 0, residual**2 * test, 0.0)
    return LearningCurve(
        n=n,
        ridge=ridge,
        risk=test - noise,
        test_error=test,
        train_error=train,
        kappa=kappa,
        degrees_of_freedom=filtered.freedom,
        learnability=filtered.kept,
        overfitting=overfitting,
    )

"""The error of kernel ridge regression on n samples, from the kernel's eigenvalues and the target's energies in them.

curve = rf.theory.kernel_learning_curve(modes, n=[10, 100, 1000], ridge=1e-3, noise=0.1)
curve.risk, curve.train_error, curve.learnability
"""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import ArrayLike, Float

from rfjax import checks
from rfjax.theory.eigenmodes import Filter, Modes, as_modes, log_kappa
from rfjax.theory.sizes import broadcast, numbers
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
    """E₀ = n/(n − Σ L²), the factor by which the sample's own fluctuations raise the test error."""


Lengths = tuple[ArrayLike, ArrayLike]


def kernel_learning_curve(
    modes: Modes | Spectrum, *, n: ArrayLike, ridge: ArrayLike, noise: float = 0.0, lengths: Lengths | None = None
) -> LearningCurve:
    """The errors of kernel ridge regression on n samples of y = g(x) + noise, averaged over samples ("eigenlearning").

        Σ λ/(λ+κ) + ridge/κ = n,   L = λ/(λ+κ),   E₀ = n/(n − Σ L²)
        test_error = E₀·[Σ (1−L)² v² + outside + noise],   train_error = (ridge/(nκ))²·test_error

    with sums over eigenfunctions, N_m to each of `modes`.  n and ridge are numbers or arrays that broadcast; `noise` is
    the variance of the labels' noise.  Without a ridge, at an n above the rank of the kernel, κ = 0 and this is the
    error of least squares (inf at n = rank).

    Where k(x, x) varies from point to point, `lengths` is its law: values s of k(x, x)/E k(x, x), mean 1, and their
    probabilities.  Then, for k(x, y) = √s_x √s_y·k'(x, y) with s independent of the rest, as for a kernel
    ‖x‖‖y‖f(cos) of Gaussian inputs (`gaussian_lengths`), with z = Σ L, q = Σ L² and c_s = 1/(ridge + sκz),

        n E_s[s c_s] = 1/κ,   A = Σ (1−L)² v² + outside
        risk = A + κ²qn·(noise·E[c²s] + A·E[c²s²])/(1 − κ²qn·E[c²s²]),   overfitting = test_error/(A + noise)

    **Range.** A deterministic equivalent: exact as n grows while eigenfunctions are as good as independent given the
    data (inputs of many dimensions).  For the NTK of a ReLU layer and n = 10…3000 it is within 3 % + 2 standard errors
    of simulation on the sphere at d = 10 and 30, farthest off (5 % high) at n = d = 10; docs/theory.md has the figures,
    those of Gaussian inputs too.

    **Raises** ValueError for n < 1, a negative ridge or noise, values that are not finite, or shapes that do not
    broadcast.  Simon, Dickens, Karkada & DeWeese 2023, *The Eigenlearning Framework*; Bordelon, Canatar & Pehlevan 2020.
    """
    found, noise = as_modes(modes), float(checks.number("noise", noise, least=0.0))
    samples, ridges = broadcast(n=numbers("n", n, least=1.0), ridge=numbers("ridge", ridge, least=0.0))
    law = None if lengths is None else _law(lengths)
    logs = np.array([_log_kappa(found, a, b, law) for a, b in zip(samples.flat, ridges.flat, strict=True)])
    return _curve(found, samples, ridges, logs.reshape(samples.shape), noise, law)


def gaussian_lengths(d: int, nodes: int = 16) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """‖x‖²/d for x ~ N(0, I_d) as values and probabilities: the Gauss rule of its Gamma law (Golub & Welsch 1969)."""
    d, i = checks.count("d", d), np.arange(checks.count("nodes", nodes))
    values, vectors = scipy.linalg.eigh_tridiagonal(2 * i + d / 2, np.sqrt(i[1:] * (i[1:] + d / 2 - 1)))
    return 2 * values / d, vectors[0] ** 2


def _law(lengths: Lengths) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Values and probabilities, checked: mean 1 to a part in a thousand, and then exactly."""
    values, chances = (numbers("lengths", part, least=0.0) for part in lengths)
    if values.ndim != 1 or values.shape != chances.shape or not np.isclose(chances.sum(), 1, atol=1e-3):
        raise ValueError(
            f"lengths must be values and probabilities of one shape [s] that add up to 1, got {list(values.shape)} and "
            f"{list(chances.shape)}, sum {chances.sum():.4g}"
        )
    if not np.isclose(values @ chances, 1, atol=1e-3):
        raise ValueError(f"lengths must have mean 1, got {values @ chances:.4g}")
    return values / (values @ chances), chances / chances.sum()


def _log_kappa(
    modes: Modes, n: float, ridge: float, law: tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]] | None
) -> float:
    """ln κ where n E s/(ridge/κ + s z) = 1, whose left side rises with κ; without a law n = z + ridge/κ."""
    start = log_kappa(modes, n, ridge)
    if law is None or ridge == 0:  # without a ridge lengths drop out
        return start
    values, chances = law

    def excess(log: float) -> float:
        z = float(Filter(modes, np.asarray(log)).freedom)
        return float(np.log(n * (chances @ (values / (ridge * np.exp(-log) + values * z)))))

    # By Jensen's inequality the lengths raise κ.
    high = start
    while excess(high) < 0:
        high += 1.0
    return float(scipy.optimize.brentq(excess, start - 1e-6, high, xtol=1e-14, rtol=1e-14)) if high > start else start


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
            at = np.asarray(log)
            return _curve(found, np.asarray(count), _ridge_of(found, count, at), at, noise).test_error

        errors = error(grid)
        best = int(np.argmin(errors))
        around = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
        refined = scipy.optimize.minimize_scalar(error, bounds=around, method="bounded", options={"xatol": 1e-8})
        logs[index] = refined.x if best > 0 and refined.fun < errors[best] else grid[best]
        if error(low) <= error(logs[index]):
            logs[index] = low
    return _curve(found, samples, _ridge_of(found, samples, logs), logs, noise)


def _ridge_of(
    modes: Modes, n: float | Float[np.ndarray, "..."], log: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """The ridge κ(n − z) that has this κ; 0 to rounding."""
    spare = n - Filter(modes, log).freedom
    return np.where(spare > 1e-12 * n, np.exp(log) * spare, 0.0)


def _curve(
    modes: Modes,
    n: Float[np.ndarray, "..."],
    ridge: Float[np.ndarray, "..."],
    log: Float[np.ndarray, "..."],
    noise: float,
    law: tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]] | None = None,
) -> LearningCurve:
    filtered, kappa = Filter(modes, log), np.exp(log)
    z, squares = filtered.freedom, filtered.freedom - filtered.between
    with np.errstate(divide="ignore", invalid="ignore"):
        spare = np.where(kappa > 0, ridge / kappa, np.maximum(n - z, 0))
    s, chances = (np.ones(1), np.ones(1)) if law is None else law
    weight = 1 / (spare[..., None] + s * z[..., None])  # κ c_s; 1/n without a law
    second, first, none = (weight**2 * s**power @ chances for power in (2, 1, 0))
    kept = (filtered.lost**2 * modes.energies).sum(-1) + modes.outside
    left = 1 - squares * n * second
    caused = squares * n * (noise * first + kept * second)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(left > 1e-12, caused / left, np.where(caused > 0, np.inf, 0.0))
        risk = kept + spread
        train = np.where(spare > 1e-12 * n, spare**2 * (noise * none + risk * first), 0.0)
        overfitting = np.where(kept + noise > 0, (risk + noise) / (kept + noise), 1 / np.maximum(left, 1e-300))
    return LearningCurve(
        n=n,
        ridge=ridge,
        risk=risk,
        test_error=risk + noise,
        train_error=train,
        kappa=kappa,
        degrees_of_freedom=filtered.freedom,
        learnability=filtered.kept,
        overfitting=overfitting,
    )

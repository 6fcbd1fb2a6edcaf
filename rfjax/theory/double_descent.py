"""The error of ridge regression on random features: on n samples, through the peak at n = features, and on all data.

rf.theory.random_feature_curve(modes, n=100, features=[50, 100, 400], ridge=1e-3, noise=0.1).risk
rf.theory.random_feature_risk(modes, features=[50, 100, 400])       # infinitely many samples
"""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import ArrayLike, Float

from rfjax import checks
from rfjax.theory.eigenmodes import Filter, Modes, as_modes, log_kappa
from rfjax.theory.sizes import broadcast, numbers
from rfjax.theory.spectra import Spectrum


@dataclass(frozen=True, eq=False)
class RandomFeatureCurve:
    """Errors of random-feature ridge regression at each (n, features, ridge) of shape [...], averaged over both draws."""

    n: Float[np.ndarray, "..."]
    """Samples."""
    features: Float[np.ndarray, "..."]
    """Random features k."""
    ridge: Float[np.ndarray, "..."]
    """Absolute, as in rf.ridge_regression: (ΦᵀΦ + ridge·I)u = Φᵀy with φ_i = f_i/√k."""
    risk: Float[np.ndarray, "..."]
    """E(f − g)² at fresh points, the label noise left out; inf at the unridged peak n = features."""
    test_error: Float[np.ndarray, "..."]
    """risk + noise: against fresh noisy labels."""
    train_error: Float[np.ndarray, "..."]
    """mean (f(x_i) − y_i)² over the samples."""
    gamma: Float[np.ndarray, "..."]
    """The eigenvalue above which modes are learned."""
    kappa: Float[np.ndarray, "..."]
    """The effective ridge of the kernel problem on these features; train_error = (ridge/(nκ))²·test_error."""


def random_feature_curve(
    modes: Modes | Spectrum, *, n: ArrayLike, features: ArrayLike, ridge: ArrayLike, noise: float = 0.0
) -> RandomFeatureCurve:
    """The errors of ridge regression on k random features and n samples, averaged over features, samples and noise.

        n = z + ridge/κ,   k = z + kκ/γ,   z = Σ L,   q = Σ L²,   L = λ/(λ+γ)
        test_error = [Σ (1−L)(1 − L·(k−z)/(k−q)) v² + outside + noise] / (1 − (q(k−2z)+z²)/(n(k−q)))

    `modes` are those of the features' own kernel E f(x)f(y).  n, features and ridge are numbers or arrays that
    broadcast; `noise` is the variance of the labels' noise.  As k → ∞ this is `kernel_learning_curve`, as n → ∞
    `random_feature_risk`.

    **Range.** A deterministic equivalent, for features and eigenfunctions as good as independent: Gaussian covariates
    with features F x are within 2 standard errors from k = 50, n = 50 on, at the peak too.  ReLU neurons of one bias on
    Gaussian inputs: within 6 % at d = 30, up to 12 % low at d = 10, where the range ends.

    **Raises** ValueError for n or features below 1, a negative ridge or noise, values that are not finite, or shapes
    that do not broadcast.  Simon, Karkada, Ghosh & Belkin 2024, *More is Better in Modern Machine Learning*.
    """
    found, noise = as_modes(modes), float(checks.number("noise", noise, least=0.0))
    samples, counts, ridges = broadcast(
        n=numbers("n", n, least=1.0),
        features=numbers("features", features, least=1.0),
        ridge=numbers("ridge", ridge, least=0.0),
    )
    logs = np.array([_log_gamma(found, *each) for each in zip(samples.flat, counts.flat, ridges.flat, strict=True)])
    filtered, gamma = Filter(found, logs.reshape(samples.shape)), np.exp(logs.reshape(samples.shape))
    above, missing = _slack(samples, counts, ridges, filtered.freedom, gamma)
    learned = _share(filtered.between, missing)
    error = _population_error(found, filtered, learned) + noise
    with np.errstate(divide="ignore", invalid="ignore"):
        spare = above + learned * missing  # n times the denominator, as a sum of positive parts
        test = np.where(error > 0, samples / spare * error, 0.0)
        kappa = gamma * missing / counts
        residual = above / samples  # = ridge/(nκ)
        train = np.where(residual > 0, residual**2 * test, 0.0)
    return RandomFeatureCurve(samples, counts, ridges, test - noise, test, train, gamma, kappa)


def random_feature_risk(
    modes: Modes | Spectrum, *, features: ArrayLike, ridge: ArrayLike = 0.0
) -> Float[np.ndarray, "..."]:
    """E(f − g)² of the best readout of k random features in the population, averaged over the features.

        Σ λ/(λ+γ) + k·ridge/γ = k,   L = λ/(λ+γ)
        risk = Σ (1−L)(1 − L·(k−z)/(k−q)) v² + outside,   at ridge 0:  Σ γ/(λ+γ) v² + outside

    features and ridge are numbers or arrays that broadcast; the ridge is that of `rf.population_regression`,
    (E φφᵀ + ridge·I)u = E φg with φ_i = f_i/√k.  For a task's own `spectrum` (features of the target's own form) and
    no ridge this is k·γ.

    **Raises** ValueError for features below 1, a negative ridge, values that are not finite, or shapes that do not
    broadcast.
    """
    found = as_modes(modes)
    counts, ridges = broadcast(
        features=numbers("features", features, least=1.0), ridge=numbers("ridge", ridge, least=0.0)
    )
    logs = np.array([log_kappa(found, k, k * ridge) for k, ridge in zip(counts.flat, ridges.flat, strict=True)])
    logs = logs.reshape(counts.shape)
    filtered, gamma = Filter(found, logs), np.exp(logs)
    missing = np.divide(counts * ridges, gamma, out=np.zeros_like(gamma), where=ridges > 0)
    return _population_error(found, filtered, _share(filtered.between, missing))


def _log_gamma(modes: Modes, n: float, k: float, ridge: float) -> float:
    """ln γ where γ(k − z)(n − z)/k = ridge: z falls with γ, so that the left side rises from 0; −inf for γ = 0."""
    low = log_kappa(modes, min(n, k))
    if ridge == 0:
        return low
    low = max(low, np.log(ridge / n))
    high = np.log(2 * modes.trace / min(n, k) + 4 * ridge / n)

    def excess(log: float) -> float:
        z = float(Filter(modes, np.asarray(log)).freedom)
        return float(log + np.log(max(k - z, 1e-300)) - np.log(k) + np.log(max(n - z, 1e-300)) - np.log(ridge))

    return float(scipy.optimize.brentq(excess, low, high, xtol=1e-14, rtol=1e-14)) if excess(low) < 0 else float(low)


def _slack(
    n: Float[np.ndarray, "..."],
    k: Float[np.ndarray, "..."],
    ridge: Float[np.ndarray, "..."],
    freedom: Float[np.ndarray, "..."],
    gamma: Float[np.ndarray, "..."],
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """(n − z, k − z) with all their digits: their difference is n − k and their product ridge·k/γ."""
    product = np.divide(ridge * k, gamma, out=np.zeros_like(gamma), where=gamma > 0)
    gap = np.abs(n - k)
    larger = (gap + np.sqrt(gap**2 + 4 * product)) / 2
    smaller = np.divide(product, larger, out=np.zeros_like(larger), where=larger > 0)
    above, missing = np.where(n > k, larger, smaller), np.where(n > k, smaller, larger)
    full = gamma == 0  # all modes are learned, and there are more samples and features than modes
    return np.where(full, n - freedom, above), np.where(full, k - freedom, missing)


def _share(between: Float[np.ndarray, "..."], missing: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """(z − q)/(k − q), 0 where both are 0."""
    whole = between + missing
    return np.divide(between, whole, out=np.zeros_like(whole), where=whole > 0)


def _population_error(modes: Modes, filtered: Filter, share: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Σ (1−L)(1 − L·(k−z)/(k−q)) v² + outside, as a sum of positive parts."""
    mixed = filtered.lost * (filtered.lost + filtered.kept * share[..., None])
    return (mixed * modes.energies).sum(-1) + modes.outside

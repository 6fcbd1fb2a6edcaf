"""Eigenspaces of a kernel under the law of the inputs, and how much of a target lies in each."""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import ArrayLike, Float

from rfjax.theory.spectra import Spectrum

_FULL = 1e-9  # relative: energies of no more than this below zero are rounding


@dataclass(frozen=True, eq=False)
class Modes:
    """Eigenvalues λ_m > 0 of a kernel, N_m of each, and the target's energy v_m² in each; made by `modes`.

    Host arrays in float64.  Logarithms carry what float64 cannot: N(10⁴, 100) is 10²⁴².
    """

    log_eigenvalues: Float[np.ndarray, " m"]
    """ln λ_m."""
    log_multiplicities: Float[np.ndarray, " m"]
    """ln N_m."""
    energies: Float[np.ndarray, " m"]
    """v_m², summed over the N_m functions of the eigenspace."""
    outside: float = 0.0
    """The energy of the target that no function of the kernel's span reaches."""
    unresolved: float = 0.0
    """The part of the trace Σ N_m λ_m in eigenvalues too many and too small to be listed: it acts as a ridge."""

    @property
    def energy(self) -> float:
        """E g²."""
        return float(self.energies.sum()) + self.outside

    @property
    def trace(self) -> float:
        """E k(x, x)."""
        return float(np.exp(self.log_multiplicities + self.log_eigenvalues).sum()) + self.unresolved

    @property
    def rank(self) -> float:
        """How many functions the kernel spans; inf past float64, or when part of the trace is unresolved."""
        with np.errstate(over="ignore"):
            return np.inf if self.unresolved > 0 else float(np.exp(self.log_multiplicities).sum())


class Filter:
    """L = λ/(λ+κ) of every mode at every κ [...], and the sums over modes that the formulas are made of."""

    def __init__(self, modes: Modes, log_kappa: Float[np.ndarray, "..."]):
        gap = np.asarray(log_kappa)[..., None] - modes.log_eigenvalues
        log_kept, log_lost = -np.logaddexp(0, gap), -np.logaddexp(0, -gap)
        with np.errstate(divide="ignore"):
            tail = np.divide(modes.unresolved, np.exp(log_kappa)) if modes.unresolved > 0 else 0.0
        self.kept: Float[np.ndarray, "... m"] = np.exp(log_kept)
        """L."""
        self.lost: Float[np.ndarray, "... m"] = np.exp(log_lost)
        """1 − L, with its own digits."""
        self.freedom: Float[np.ndarray, "..."] = np.exp(modes.log_multiplicities + log_kept).sum(-1) + tail
        """z = Σ L, the degrees of freedom."""
        self.between: Float[np.ndarray, "..."] = np.exp(modes.log_multiplicities + log_kept + log_lost).sum(-1) + tail
        """Σ L(1−L) = z − Σ L²."""


def modes(
    eigenvalues: ArrayLike,
    energies: ArrayLike,
    multiplicities: ArrayLike | None = None,
    *,
    log: bool = False,
    outside: float = 0.0,
    unresolved: float = 0.0,
) -> Modes:
    """Eigenspaces of a kernel, k(x, y) = Σ λ_i φ_i(x)φ_i(y), with the target's energy in each, g = Σ v_i φ_i + rest.

    eigenvalues: λ_m [m].  energies: Σ v_i² over each eigenspace [m].  multiplicities: N_m [m], 1 each unless given.
    With `log` the eigenvalues and multiplicities (not the energies) are natural logarithms, which may be past float64.
    `outside` is the energy of the target beyond the kernel's span, and so is the energy of eigenvalues 0 (−inf);
    `unresolved` the part of E k(x, x) in eigenvalues that are not listed, which acts as a ridge.

    **Raises** ValueError for arrays that are not one axis of equal length, NaN, negative or infinite values, a
    multiplicity below 1 with an eigenvalue above 0, or no eigenvalue above 0 at all.
    """
    values = _vector("eigenvalues", eigenvalues)
    counts = (np.zeros if log else np.ones)(len(values)) if multiplicities is None else multiplicities
    counts, v2 = _vector("multiplicities", counts, len(values)), _vector("energies", energies, len(values))
    if not np.all(np.isfinite(v2)) or np.any(v2 < -_FULL * np.abs(v2).max(initial=0)):
        raise ValueError(f"energies must be finite and >= 0, got {v2[~(np.isfinite(v2) & (v2 >= 0))][0]}")
    v2 = np.maximum(v2, 0)
    if not log:
        for name, array in (("eigenvalues", values), ("multiplicities", counts)):
            bad = array[~(np.isfinite(array) & (array >= 0))]
            if bad.size:
                raise ValueError(f"{name} must be finite and >= 0 (log=True for more), got {bad[0]}")
        with np.errstate(divide="ignore"):
            values, counts = np.log(values), np.log(counts)
    if np.isnan(values).any() or np.isposinf(values).any() or np.isnan(counts).any() or np.isposinf(counts).any():
        raise ValueError("eigenvalues and multiplicities must have finite logarithms (−inf for 0), got NaN or inf")
    for name, value in (("outside", outside), ("unresolved", unresolved)):
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number >= 0, got {value}")
    live = values > -np.inf
    if not live.any():
        raise ValueError("eigenvalues must have at least one above 0")
    if np.any(counts[live] < 0):
        raise ValueError(f"multiplicities must be at least 1, got {np.exp(counts[live].min()):.3g}")
    return Modes(values[live], counts[live], v2[live], float(outside + v2[~live].sum()), float(unresolved))


def as_modes(given: Modes | Spectrum) -> Modes:
    """Modes as they are; a task's `spectrum` as the modes of features of the task's own form.

    The kernel of such features, E_w g_w(x)g_w(y), has the eigenvalues of the spectrum, and the target the energies.
    What the Hermite series leaves out is outside, and unresolved.
    """
    if isinstance(given, Modes):
        return given
    if not isinstance(given, Spectrum):
        raise TypeError(f"modes must be made by rf.theory.modes or rf.theory.spectrum, got {type(given).__name__}")
    rest = given.remainder if given.remainder > given.rounding else 0.0
    some = given.energy > 0
    return modes(
        given.log_eigenvalues[some],
        given.energy[some],
        given.log_multiplicity[some],
        log=True,
        outside=rest,
        unresolved=rest,
    )


def log_kappa(modes: Modes, n: float, ridge: float = 0.0) -> float:
    """ln κ where Σ λ/(λ+κ) + ridge/κ = n: the one root, between bounds that hold for any spectrum; −inf for κ = 0.

    κ is 0 without a ridge where n is at least the rank of the kernel.
    """
    ridge_log = np.log(ridge) if ridge > 0 else -np.inf

    def excess(log: float) -> float:
        filled = float(Filter(modes, np.asarray(log)).freedom)
        return float(np.log(filled + np.exp(ridge_log - log)) - np.log(n))

    if ridge == 0 and n >= modes.rank:
        return -np.inf
    high = np.log((modes.trace + ridge) / n)
    low = np.log((modes.unresolved + ridge) / n) if modes.unresolved + ridge > 0 else _below(modes, n)
    if not excess(low) > 0:  # to rounding, the bound is the root
        return float(low)
    if not excess(high) < 0:
        return float(high)
    return float(scipy.optimize.brentq(excess, low, high, xtol=1e-14, rtol=1e-14))


def _below(modes: Modes, n: float) -> float:
    """A lower bound on ln κ: M eigenvalues of at least λ give M·λ/(λ+κ) <= n, so that κ >= λ(M/n − 1)."""
    order = np.argsort(-modes.log_eigenvalues)
    log_count = np.logaddexp.accumulate(modes.log_multiplicities[order]) - np.log(n)
    enough = log_count > 0
    bounds = modes.log_eigenvalues[order][enough] + np.log(np.expm1(np.minimum(log_count[enough], 700)))
    return float(bounds.max())


def _vector(name: str, value: ArrayLike, length: int | None = None) -> Float[np.ndarray, " m"]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be real numbers, got {array.dtype}")
    if array.ndim != 1 or array.size == 0 or (length is not None and len(array) != length):
        wanted = "[m] with m >= 1" if length is None else f"[{length}], one for each eigenvalue"
        raise ValueError(f"{name} must have shape {wanted}, got {list(array.shape)}")
    return array.astype(np.float64)

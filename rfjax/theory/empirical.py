"""Spectra that data show: eigenvalues of Gram matrices, and the numbers that sum a spectrum up."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.dynamics.lanczos import krylov
from rfjax.kernels import Kernel
from rfjax.kernels.base import as_operand
from rfjax.theory.kernel_spectra import KernelSpectrum

_SPARE = 16  # Lanczos steps beyond twice the eigenvalues asked for
_TOLERANCE = {"float32": 1e-4, "float64": 1e-8}  # of the largest eigenvalue
_SEED = 0  # of the vector Lanczos starts from, which leaves the answer unchanged to tolerance


@dataclass(frozen=True, eq=False)
class GramSpectrum:
    """Eigenvalues of k(X)/n, the estimate of a kernel's operator from n points; made by `gram_spectrum`."""

    n: int
    """The number of points."""
    eigenvalues: Float[np.ndarray, " s"]
    """Descending: all n, or the largest ones."""
    trace: float
    """The mean of k(x_i, x_i): the sum of all n eigenvalues."""
    projections: Float[np.ndarray, " s"] | None
    """(v_iᵀy)²/n for eigenvectors v_i of unit length: the energy of y along each; None without y."""

    @property
    def remainder(self) -> float:
        """trace − Σ eigenvalues: 0 but for rounding when all are known."""
        return max(self.trace - float(self.eigenvalues.sum()), 0.0)


@dataclass(frozen=True)
class PowerLaw:
    """An exponent fitted on a log-log scale, its standard error, and the indices j it was fitted on (from 1)."""

    exponent: float
    stderr: float
    window: tuple[int, int]


def gram_spectrum(
    kernel: Kernel, X: Float[Array, "n d"], y: Float[Array, " n"] | None = None, *, top: int | None = None
) -> GramSpectrum:
    """The eigenvalues of k(X)/n: all of them, or without ever forming the matrix the `top` largest.

    `top` goes by Lanczos with full reorthogonalisation, lengthened until no residual ‖k(X)v − λv‖ exceeds 1e-8 (float32:
    1e-4) of the largest eigenvalue; the eigenvalues are as good as that.  With targets y, also the energy of y along each
    eigenvector, which `source_exponent` takes.

    **Raises** TypeError or ValueError for bad data, or a `top` that is not from 1 to n.
    """
    kernel, X = as_operand(kernel), checks.points("X", X)
    n = X.shape[0]
    if y is not None:
        y = checks.targets("y", y, rows=n)
        if y.ndim != 1:
            raise ValueError(f"y must have shape [n], got {list(y.shape)}")
    if top is None:
        values, V = jnp.linalg.eigh(kernel(X))
        values, V = values[::-1], V[:, ::-1]
    else:
        if checks.count("top", top) > n:
            raise ValueError(f"top must be at most n = {n}, got {top}")
        values, V = _largest(kernel, X, top)
    projections = None if y is None else np.asarray((V.T @ y.astype(V.dtype)) ** 2 / n, dtype=np.float64)
    trace = float(np.asarray(kernel.diag(X), dtype=np.float64).mean())
    return GramSpectrum(n, np.asarray(values, dtype=np.float64) / n, trace, projections)


def effective_dimension(spectrum: KernelSpectrum | GramSpectrum | ArrayLike, ridge: float) -> float:
    """Σ λ/(λ + ridge): how many eigenfunctions a ridge lets through.

    The ridge is in the unit of the eigenvalues: for k(X)/n it is that of `ridge_regression` divided by n.  What the
    spectrum leaves out counts as if each of its eigenvalues were far below the ridge.

    **Raises** ValueError for a ridge that is not positive, or when what is left out could change the answer by 1 %.
    """
    values, counts, remainder, most = _parts(spectrum)
    ridge = float(checks.number("ridge", ridge, above=0.0))
    known = float((counts * (values / (values + ridge))).sum())
    high, low = remainder / ridge, remainder / (ridge + most)
    if high - low > 0.01 * (known + low):
        raise ValueError(
            f"spectrum must reach further for ridge = {ridge:.3g}: what it leaves out, a remainder of {remainder:.3g}, adds "
            f"between {low:.3g} and {high:.3g} to {known:.4g}"
        )
    return known + (high + low) / 2


def participation_ratio(spectrum: KernelSpectrum | GramSpectrum | ArrayLike) -> float:
    """(Σ λ)²/Σ λ²: how many eigenvalues would share the trace equally.

    **Raises** ValueError when what the spectrum leaves out could change it by 1 %, or for a spectrum of zeros.
    """
    values, counts, remainder, most = _parts(spectrum)
    square = float((counts * values**2).sum())
    if square <= 0:
        raise ValueError("spectrum must have a positive eigenvalue, and it has none")
    if remainder * most > 0.01 * square:
        raise ValueError(f"spectrum must reach further: it leaves out a remainder of {remainder:.3g}")
    return (float((counts * values).sum()) + remainder) ** 2 / square


def capacity_exponent(
    spectrum: KernelSpectrum | GramSpectrum | ArrayLike, *, window: tuple[int, int] | None = None
) -> PowerLaw:
    """α of λ_j ≈ C·j^{−α}, the j-th largest eigenvalue, by least squares of ln λ on ln j for j in the window.

    `window` = (first, last), counted from 1; from 10 to half of the eigenvalues unless given.  The standard error takes the
    deviations from the line as independent: with steps or curvature in the window it is too small.

    **Raises** ValueError for a window of fewer than three eigenvalues, or with eigenvalues that are not positive.
    """
    values, counts, *_ = _parts(spectrum)
    order = np.argsort(-values, kind="stable")
    ends = np.cumsum(counts[order])
    index = ends - (counts[order] - 1) / 2  # the middle of those that are equal
    return _fit(index, values[order], window, int(min(ends[-1], 2.0**53)), "eigenvalues")


def source_exponent(spectrum: GramSpectrum, *, window: tuple[int, int] | None = None) -> PowerLaw:
    """r of a target's energy Σ_{i>j} v_i² ≈ C·j^{−2αr}, v_i its coefficients and α the capacity on the same window.

    r >= ½ when the target is in the kernel's Hilbert space.  Cui, Loureiro, Krzakala & Zdeborová 2021, *Generalization error
    rates in kernel regression*.  Noise in y flattens the tail: choose a window that ends before it.  The standard error is
    that of both fits.

    **Raises** as `capacity_exponent`, and ValueError for a spectrum made without y.
    """
    if spectrum.projections is None:
        raise ValueError("spectrum must be made with targets: gram_spectrum(kernel, X, y)")
    capacity = capacity_exponent(spectrum, window=window)
    tail = np.cumsum(spectrum.projections[::-1])[::-1][1:]
    index = np.arange(1, len(tail) + 1, dtype=np.float64)
    decay = _fit(index, tail, capacity.window, len(tail), "projections")
    r = decay.exponent / (2 * capacity.exponent)
    relative = math.hypot(decay.stderr / decay.exponent, capacity.stderr / capacity.exponent)
    return PowerLaw(r, abs(r) * relative, capacity.window)


def _fit(
    index: Float[np.ndarray, " s"], values: Float[np.ndarray, " s"], window: Any, count: int, name: str
) -> PowerLaw:
    """−slope of ln values on ln index within the window, with the standard error of least squares."""
    first, last = (min(10, max(count // 4, 1)), max(count // 2, 3)) if window is None else window
    first, last = checks.count("window", first), checks.count("window", last)
    inside = (index >= first) & (index <= last)
    if inside.sum() < 3 or not (values[inside] > 0).all():
        raise ValueError(
            f"window must hold at least three {name}, all positive, got ({first}, {last}) with {int(inside.sum())}"
        )
    x, z = np.log(index[inside]), np.log(values[inside])
    x = x - x.mean()
    slope = x @ z / (x @ x)
    rest = z - z.mean() - slope * x
    stderr = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x))
    return PowerLaw(-float(slope), stderr, (first, last))


def _parts(spectrum: Any) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"], float, float]:
    """Eigenvalues, how many of each, the trace that is left out, and the most that an eigenvalue of it can be."""
    if isinstance(spectrum, KernelSpectrum):
        left_out = spectrum.remainder
        finite = np.isfinite(spectrum.multiplicity)
        beyond = math.exp(-float(spectrum.log_multiplicity[spectrum.degrees == spectrum.degree][0]))
        return spectrum.eigenvalues[finite], spectrum.multiplicity[finite], left_out, left_out * beyond
    if isinstance(spectrum, GramSpectrum):
        values = np.maximum(spectrum.eigenvalues, 0.0)
        least = float(values[-1]) if len(values) < spectrum.n else 0.0
        return values, np.ones_like(values), spectrum.remainder if least > 0 else 0.0, min(least, spectrum.remainder)
    values = np.asarray(spectrum, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("spectrum must be a KernelSpectrum, a GramSpectrum, or a vector of eigenvalues >= 0")
    return values, np.ones_like(values), 0.0, 0.0


def _largest(kernel: Kernel, X: Float[Array, "n d"], top: int) -> tuple[Float[Array, " s"], Float[Array, "n s"]]:
    """The largest eigenvalues of k(X) and their vectors, by Lanczos."""
    n = X.shape[0]
    start = 1 + jax.random.normal(jax.random.key(_SEED), (n, 1), X.dtype)
    rank = min(n, 2 * top + _SPARE)
    while True:
        values, vectors, *_ = (v[0] for v in krylov(kernel, X, start, rank))
        values, V = values[::-1][:top], vectors[::-1][:top].T
        residual = jnp.linalg.norm(kernel.matvec(X, None, V) - V * values, axis=0).max()
        if rank == n or float(residual) <= _TOLERANCE.get(str(X.dtype), 1e-4) * float(values[0]):
            return values, V
        rank = min(n, 2 * rank)

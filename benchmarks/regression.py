"""Fits beside LAPACK's factorisation, an eigendecomposition and scikit-learn, on the same data in the same rounds.

| group | question | target |
|---|---|---|
| exact | what does a fit cost beside the bare factorisation? | 1.2 of those |
| sklearn | and beside scikit-learn's, prediction included? | two thirds of its time |
| iterative | what does a fit cost whose matrix does not fit? | a third of the factorisation; a residual of 1e-6; 2 GiB |
| ridges | how do steps depend on ridge and preconditioner? | |
| centres | a million points? | 15 minutes, 4 GiB |
| path | fifty ridges with leave-one-out errors? | 1.5 eigendecompositions |
| data | test errors on real data at equal time? | below those of the peers |
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

import rfjax as rf
from benchmarks import real_data
from benchmarks.datasets import target
from benchmarks.report import Row, at_roofline, beside
from benchmarks.timing import GEMM, at_gemm_rate, interleaved, peak_rss_bytes

POTRF = "potrf"
Case = Callable[[], list[Row]]


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    exact: points of exact fits.  iterative: of one by conjugate gradients, d columns.  steps: points where steps are
    counted, for `ridges` and `ranks`.  million: points of the streamed fit, on `centres`.  path: points of the ridge
    path.  names, rows: the data sets in the folder `data`, fitted on each of `restricted` centres.
    """

    exact: int = 8000
    iterative: int = 36_000
    steps: int = 4000
    ridges: tuple[float, ...] = (1.0, 0.1, 1e-3, 1e-6)
    ranks: tuple[int, ...] = (0, 100, 500)
    million: int = 1_000_000
    centres: int = 5000
    path: int = 4000
    count: int = 50
    names: tuple[str, ...] = ("kin40k", "protein")
    restricted: tuple[int, ...] = (500, 1000, 2000, 4000)
    rows: int | None = None
    data: Path | None = None
    repetitions: int = 3


PRESETS = {
    "smoke": Sizes(
        exact=60, iterative=80, steps=60, ridges=(1.0,), ranks=(0, 10), million=200, centres=20, path=60, count=5,
        names=("kin40k",), restricted=(20,), rows=200, repetitions=1,
    ),
    "default": Sizes(),
}  # fmt: skip


def cases(sizes: Sizes, only: str | None = None) -> list[Case]:
    """All measurements, or those of one group, in order."""
    return [case for name, group in GROUPS.items() if only in (None, name) for case in group(sizes)]


def _exact(sizes: Sizes) -> Iterator[Case]:
    yield partial(_beside_potrf, sizes.exact, sizes.repetitions)


def _beside_potrf(n: int, repetitions: int) -> list[Row]:
    """The whole fit, Gram matrix included, beside the factorisation of that matrix alone."""
    with jax.enable_x64(True):
        X, y = _data(n, 8, "float64")
        kernel = rf.rbf(8**0.5)
        fits: list[Any] = []

        def fit() -> Array:
            fits[:] = [rf.ridge_regression(kernel, X, y, ridge=1.0, solver="cholesky")]
            return fits[0].coefficients

        times = interleaved({"fit": fit, POTRF: _factorisation(kernel, X)}, repetitions)
    settings = {"n": n, "d": 8, "dtype": "float64"}
    row = beside("exact", "ridge_regression", settings, times, "fit", POTRF, {"ratio": 1.2})
    return [
        replace(row, note=f"solver memory {fits[0].stats.memory / 2**20:.0f} MiB, one buffer {8 * n * n / 2**20:.0f}")
    ]


def _factorisation(kernel: rf.Kernel, X: Float[Array, "n d"]) -> Callable[[], None]:
    """LAPACK's Cholesky factorisation of k(X) + I, in a buffer of its own."""
    K = np.asarray(kernel(X)) + np.eye(len(X))
    (potrf,) = scipy.linalg.get_lapack_funcs(("potrf",), (K,))
    buffer = np.empty_like(K, order="F")

    def factor() -> None:
        buffer[...] = K
        potrf(buffer, lower=True, overwrite_a=True)

    return factor


def _sklearn(sizes: Sizes) -> Iterator[Case]:
    yield partial(_beside_sklearn, sizes.exact, sizes.repetitions)


def _beside_sklearn(n: int, repetitions: int) -> list[Row]:
    from sklearn.kernel_ridge import KernelRidge

    with jax.enable_x64(True):
        X, y = _data(n, 8, "float64")
        Z = _data(1000 if n > 1000 else 10, 8, "float64", seed=1)[0]
        host = [np.asarray(v) for v in (X, y, Z)]
        theirs = KernelRidge(kernel="rbf", gamma=1 / 16, alpha=1.0)
        kernel = rf.rbf(8**0.5)
        times = interleaved(
            {
                "rfjax": lambda: rf.ridge_regression(kernel, X, y, ridge=1.0)(Z),
                "KernelRidge": lambda: theirs.fit(*host[:2]).predict(host[2]),
                POTRF: _factorisation(kernel, X),
            },
            repetitions,
        )
    settings = {"n": n, "d": 8, "dtype": "float64"}
    return [
        beside("sklearn", "fit and predict", settings, times, "rfjax", other, target)
        for other, target in (("KernelRidge", {"ratio": 1 / 1.5}), (POTRF, {}))
    ]


def _iterative(sizes: Sizes) -> Iterator[Case]:
    yield partial(_beside_its_factorisation, sizes.iterative, sizes.exact)


def _beside_its_factorisation(n: int, measured: int) -> list[Row]:
    """Conjugate gradients in mixed precision beside potrf of that size, as n³ times its seconds at a size that fits."""
    with jax.enable_x64(True):
        X, y = _data(n, 8, "float64")
        kernel = rf.kernels.Normalised(rf.ntk(rf.mlp(depth=2, width=1)))
        small = np.asarray(rf.rbf(8**0.5)(X[:measured])) + np.eye(min(n, measured))
        (potrf,) = scipy.linalg.get_lapack_funcs(("potrf",), (small,))
        start = time.perf_counter()
        potrf(np.asfortranarray(small), lower=True, overwrite_a=True)
        whole = (time.perf_counter() - start) * (n / len(small)) ** 3
        del small
        solver = rf.solvers.ConjugateGradients(tolerance=1e-6, rank=min(n, 500), precision="mixed")
        fit = rf.ridge_regression(kernel, X, y, ridge=1.0, solver=solver)
    return [
        Row(
            "iterative",
            "cg, rpcholesky, mixed",
            {"n": n, "d": 8, "depth": 2, "rank": solver.rank, "dtype": "float64"},
            seconds=fit.stats.seconds,
            repetitions=1,
            against=f"{POTRF} (n³ from {min(n, measured)})",
            ratio=fit.stats.seconds / whole,
            peak_rss_bytes=peak_rss_bytes(),
            error=float(fit.stats.residual),
            target={"ratio": 1 / 3, "error": 1e-6},
            note=f"{int(fit.stats.iterations)} steps; compilation included; solver memory "
            f"{fit.stats.memory / 2**30:.2f} GiB",
        )
    ]


def _ridges(sizes: Sizes) -> Iterator[Case]:
    for ridge in sizes.ridges:
        for rank in sizes.ranks:
            yield partial(_steps, sizes.steps, ridge, rank)


def _steps(n: int, ridge: float, rank: int) -> list[Row]:
    with jax.enable_x64(True):
        X, y = _data(n, 8, "float64")
        kernel = rf.kernels.Normalised(rf.ntk(rf.mlp(depth=2, width=1)))
        solver = rf.solvers.ConjugateGradients(tolerance=1e-6, rank=rank, precision="full", max_iterations=600)
        fit = rf.ridge_regression(kernel, X, y, ridge=ridge, solver=solver, throw=False)
    steps = int(fit.stats.iterations)
    row = Row(
        "ridges",
        f"cg at rank {rank}",
        {"n": n, "d": 8, "ridge": ridge, "rank": rank, "steps": steps, "dtype": "float64"},
        seconds=fit.stats.seconds,
        repetitions=1,
        error=float(fit.stats.residual),
        peak_rss_bytes=peak_rss_bytes(),
    )
    return [at_roofline(row, n * n * (8 / 2 + steps))]  # half of a symmetric matrix, and a product with it a step


def _centres(sizes: Sizes) -> Iterator[Case]:
    yield partial(_streamed, sizes.million, sizes.centres)


def _streamed(n: int, centres: int) -> list[Row]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 20)).astype(np.float32)
    y = target(X) + 0.1 * rng.normal(size=n).astype(np.float32)
    test = rng.normal(size=(min(n, 5000), 20)).astype(np.float32)
    kernel = rf.kernels.Normalised(rf.ntk(rf.mlp(depth=1, width=1, b_std=0.5)))
    solver = rf.solvers.Nystrom(centres=centres, key=jax.random.key(0), tolerance=1e-3)
    fit = rf.ridge_regression(kernel, X, y, ridge=1.0, solver=solver)
    wrong = float(np.mean((np.asarray(fit(jnp.asarray(test))) - target(test)) ** 2) / np.var(target(test)))
    peak = peak_rss_bytes()
    return [
        Row(
            "centres",
            "nystrom, streamed",
            {"n": n, "d": 20, "centres": centres, "dtype": "float32"},
            seconds=fit.stats.seconds,
            repetitions=1,
            against=GEMM,
            ratio=fit.stats.seconds / at_gemm_rate(int(fit.stats.iterations) * n * centres * (20 + 2)),  # K, K v, Kᵀu
            peak_rss_bytes=peak,
            error=wrong,
            target={"seconds": 900.0, "peak_rss_bytes": 4 * 2**30},
            note=f"{int(fit.stats.iterations)} steps to 1e-3; error: relative, of 5000 new points",
        )
    ]


def _path(sizes: Sizes) -> Iterator[Case]:
    for dtype in ("float64", "float32"):
        yield partial(_beside_eigh, sizes, dtype)


def _beside_eigh(sizes: Sizes, dtype: str) -> list[Row]:
    with jax.enable_x64(dtype == "float64"):
        X, y = _data(sizes.path, 20, dtype)
        kernel, ridges = rf.rbf(20**0.5), jnp.asarray(np.logspace(-3, 3, sizes.count))
        K, eigh = kernel(X), jax.jit(jnp.linalg.eigh)
        times = interleaved(
            {"path": lambda: rf.ridge_path(kernel, X, y, ridges), "eigh(K)": lambda: eigh(K)}, sizes.repetitions
        )
    settings = {"n": sizes.path, "d": 20, "ridges": sizes.count, "dtype": dtype}
    return [beside("path", f"ridge_path {dtype}", settings, times, "path", "eigh(K)", {"ratio": 1.5})]


def _real(sizes: Sizes) -> Iterator[Case]:
    yield from real_data.cases(sizes.data, sizes.names, sizes.restricted, sizes.rows)


def _data(n: int, d: int, dtype: str, *, seed: int = 0) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return jnp.asarray(X, dtype), jnp.asarray(target(X) + 0.1 * rng.normal(size=n), dtype)


GROUPS: dict[str, Callable[[Sizes], Iterator[Case]]] = {
    "exact": _exact,
    "sklearn": _sklearn,
    "iterative": _iterative,
    "ridges": _ridges,
    "centres": _centres,
    "path": _path,
    "data": _real,
}

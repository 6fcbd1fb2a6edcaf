"""Feature maps beside the bare product, scikit-learn, and each other.

| group | question | target |
|---|---|---|
| fourier | what do features cost beside the product X Wᵀ alone? | 1.4 of it; no more than scikit-learn's |
| structured | what does the fast transform save? | a third of the dense map |
| gram-error | how far is φ(x)·φ(y) from k(x, y) at equal p? | below independent frequencies at every p |
| ridge | features and ridge regression of what does not fit? | 2 GiB |

The real data of gram-error are scikit-learn's digits, and kin40k where `--data` names the folder of kin40k.npz.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import rfjax as rf
from benchmarks.datasets import load, target
from benchmarks.report import Row, beside
from benchmarks.timing import GEMM, at_gemm_rate, interleaved, peak_rss_bytes
from rfjax.kernels import Kernel
from rfjax.numerics import gram

PRODUCT = "X Wᵀ"
WRITING = "its features, written once"
Case = Callable[[], list[Row]]
Makers = dict[str, Callable[..., Any]]  # feature maps as functions of p and a key


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    fourier: rows, columns, features.  structured: the same.  error_columns: of Gaussian data; error_rows, and draws of
    each map; multiples: features by columns.  ridge: rows, columns, features.  data: the folder of
    real data sets.
    """

    fourier: tuple[int, int, int] = (50_000, 100, 8192)
    structured: tuple[int, int, int] = (4000, 1024, 8192)
    error_columns: int = 16
    error_rows: int = 300
    draws: int = 20
    multiples: tuple[int, ...] = (2, 4, 10, 20, 50, 100)
    ridge: tuple[int, int, int] = (300_000, 20, 4096)
    repetitions: int = 5
    data: Path | None = None


PRESETS = {
    "smoke": Sizes((100, 5, 64), (40, 64, 128), 4, 20, 2, (2,), (500, 4, 32), 1),
    "default": Sizes(),
}


def cases(sizes: Sizes, only: str | None = None) -> list[Case]:
    """All measurements, or those of one group, in order."""
    return [case for name, group in GROUPS.items() if only in (None, name) for case in group(sizes)]


def _fourier(sizes: Sizes) -> Iterator[Case]:
    yield partial(_beside_the_product, sizes.fourier, sizes.repetitions)


def _beside_the_product(shape: tuple[int, int, int], repetitions: int) -> list[Row]:
    n, d, p = shape
    X, key = _gaussian(n, d), jax.random.key(0)
    kernel = rf.rbf(d**0.5)
    phase, sincos = (rf.features.fourier(kernel, d, p, key=key, form=form) for form in ("phase", "sincos"))
    W = jnp.asarray(phase.frequencies.project(jnp.eye(d, dtype=jnp.float32)).T)
    product, cosine = jax.jit(gram), jax.jit(lambda X, W: jnp.cos(gram(X, W)))
    contestants = {
        PRODUCT: lambda: product(X, W),
        "jnp.cos of it": lambda: cosine(X, W),
        "phase": lambda: phase(X),
        "sincos": lambda: sincos(X),
    }
    rows = []
    try:
        from sklearn.kernel_approximation import RBFSampler
    except ImportError:
        rows.append(Row("fourier", "RBFSampler", {}, note="not installed: pip install scikit-learn"))
    else:
        host = np.asarray(X)
        theirs = RBFSampler(gamma=1 / (2 * d), n_components=p, random_state=0).fit(host)
        contestants["RBFSampler"] = lambda: theirs.transform(host)
    times = interleaved(contestants, repetitions)
    settings = {"n": n, "d": d, "p": p, "dtype": "float32"}
    for name, most in (("phase", 1.4), ("sincos", None), ("jnp.cos of it", None), ("RBFSampler", None)):
        if name in contestants:
            target = {} if most is None else {"ratio": most}
            rows.append(beside("fourier", name, settings, times, name, PRODUCT, target))
    rows.append(beside("fourier", "sincos", settings, times, "sincos", "phase", {"ratio": 1 / 1.5}))
    if "RBFSampler" in contestants:
        rows.append(beside("fourier", "phase", settings, times, "phase", "RBFSampler", {"ratio": 1.0}))
    return rows


def _structured(sizes: Sizes) -> Iterator[Case]:
    yield partial(_beside_the_dense_map, sizes.structured, sizes.repetitions)


def _beside_the_dense_map(shape: tuple[int, int, int], repetitions: int) -> list[Row]:
    n, d, p = shape
    X = _gaussian(n, d)
    maps = {
        draw: rf.features.fourier(rf.rbf(d**0.5), d, p, key=jax.random.key(0), draw=draw, form="phase")
        for draw in ("iid", "structured")
    }
    contestants: dict[str, Callable[[], Any]] = {draw: partial(phi, X) for draw, phi in maps.items()}
    contestants[WRITING] = partial(jax.jit(lambda value: jnp.broadcast_to(value, (n, p))), X[0, 0])
    times = interleaved(contestants, repetitions)
    settings = {"n": n, "d": d, "p": p, "dtype": "float32"}
    return [
        beside("structured", "structured", settings, times, "structured", other, target)
        for other, target in (("iid", {"ratio": 1 / 3}), (WRITING, {}))
    ]


def _gram_error(sizes: Sizes) -> Iterator[Case]:
    for name, X in data(sizes.error_columns, sizes.error_rows, sizes.data).items():
        for multiple in sizes.multiples:
            yield partial(_errors, name, X, multiple, sizes.draws)


def data(columns: int, rows: int, folder: Path | None = None) -> dict[str, Float[np.ndarray, "n d"]]:
    """Gaussian data, and real data with every column of unit variance, constant ones left out."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(0)
    found = {"Gaussian": rng.normal(size=(rows, columns)), "digits": load_digits().data}
    if folder is not None:
        found["kin40k"] = load(folder, "kin40k").X
    return {name: _unit(X[rng.permutation(len(X))[:rows]].astype(np.float64)) for name, X in found.items()}


def _unit(X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n c"]:
    X = X[:, X.std(axis=0) > 0]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def maps(columns: int) -> dict[str, tuple[Kernel, Makers]]:
    """The kernels and their feature maps."""
    rbf = rf.rbf(columns**0.5)
    fourier: Makers = {
        draw: lambda p, key, draw=draw: rf.features.fourier(rbf, columns, p, key=key, draw=draw)
        for draw in ("iid", "orthogonal", "structured", "sobol", "halton")
    }
    # E [⟨w, x⟩]₊[⟨w, y⟩]₊ for w ~ N(0, I/d)
    relu = rf.nngp(rf.mlp(depth=1, width=1, w_std=1.0, b_std=0.0))
    neurons: Makers = {
        draw: lambda p, key, draw=draw: rf.random_neurons(
            columns, p, key=key, weights="gaussian", bias=rf.features.Zero(), draw=draw
        )
        for draw in ("iid", "orthogonal", "sobol")
    }
    return {"rbf": (rbf, fourier), "relu": (relu, neurons)}


def errors(
    X: Float[np.ndarray, "n d"], kernel: Kernel, make: Callable[[int, Array], Any], p: int, draws: int
) -> Float[np.ndarray, " draws"]:
    """‖Φ Φᵀ − K‖/‖K‖ (Frobenius) of every draw, in float32."""
    points = jnp.asarray(X, jnp.float32)
    K = kernel(points)
    keys = jax.random.split(jax.random.key(p), draws)
    return np.array([float(jnp.linalg.norm(_own(make(p, key)(points)) - K) / jnp.linalg.norm(K)) for key in keys])


@jax.jit
def _own(F: Float[Array, "n p"]) -> Float[Array, "n n"]:
    return gram(F, F)


def _errors(name: str, X: Float[np.ndarray, "n d"], multiple: int, draws: int) -> list[Row]:
    """The mean over draws; each map is paired with iid, draw by draw, for the standard error of the difference."""
    rows, d = [], X.shape[1]
    for kernel_name, (kernel, makers) in maps(d).items():
        found = {draw: errors(X, kernel, make, multiple * d, draws) for draw, make in makers.items()}
        for draw, values in found.items():
            stderr = float(f"{values.std(ddof=1) / draws**0.5:.3g}")
            rows.append(
                Row(
                    "gram-error",
                    f"{kernel_name} {draw}",
                    {
                        "data": name,
                        "n": len(X),
                        "d": d,
                        "p": multiple * d,
                        "stderr": float(f"{stderr:.3g}"),
                        "dtype": "float32",
                    },
                    repetitions=draws,
                    against=None if draw == "iid" else "iid",
                    ratio=None if draw == "iid" else float(values.mean() / found["iid"].mean()),
                    error=float(values.mean()),
                    target={} if draw == "iid" else {"ratio": 1.0},
                )
            )
    return rows


def _ridge(sizes: Sizes) -> Iterator[Case]:
    yield partial(_streamed, sizes.ridge)


def _streamed(shape: tuple[int, int, int]) -> list[Row]:
    n, d, p = shape
    rng = np.random.default_rng(0)
    X, test = (rng.normal(size=(rows, d)).astype(np.float32) for rows in (n, min(n, 20_000)))
    y = target(X) + 0.1 * rng.normal(size=n).astype(np.float32)
    before = peak_rss_bytes()
    phi = rf.features.fourier(rf.rbf(d**0.5), d, p, key=jax.random.key(0), draw="orthogonal")
    fit = rf.ridge_regression(phi, X, y, ridge=1.0)
    wrong = float(np.mean((np.asarray(fit(jnp.asarray(test))) - target(test)) ** 2) / np.var(target(test)))
    peak = peak_rss_bytes()
    return [
        Row(
            "ridge",
            "ridge_regression",
            {"n": n, "d": d, "p": p, "dtype": "float32"},
            seconds=fit.stats.seconds,
            repetitions=1,
            against=GEMM,
            ratio=fit.stats.seconds / at_gemm_rate(n * p * (d + p / 2)),  # features, and half of a symmetric product
            peak_rss_bytes=peak,
            error=wrong,
            target={"peak_rss_bytes": 2 * 2**30},
            note=f"{fit.stats.reason}; solver memory {fit.stats.memory / 2**20:.0f} MiB, process "
            f"{peak / 2**20:.0f} MiB, {before / 2**20:.0f} before; error: relative, of new points",
        )
    ]


def _gaussian(n: int, d: int) -> Float[Array, "n d"]:
    return jnp.asarray(np.random.default_rng(0).normal(size=(n, d)), jnp.float32)


GROUPS: dict[str, Callable[[Sizes], Iterator[Case]]] = {
    "ridge": _ridge,  # first, because it is held to the peak memory of the process
    "fourier": _fourier,
    "structured": _structured,
    "gram-error": _gram_error,
}

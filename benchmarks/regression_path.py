"""A ridge path with exact leave-one-out errors beside one eigendecomposition of the same matrix: target 1.5 of those."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import rfjax as rf
from benchmarks.report import Row
from benchmarks.timing import interleaved, peak_rss_bytes

EIGH = "eigh(K)"


@dataclass(frozen=True)
class Sizes:
    """n points in d dimensions, so many ridges, and rounds of the measurement."""

    n: int = 4000
    d: int = 20
    ridges: int = 50
    repetitions: int = 3
    dtypes: tuple[str, ...] = ("float64", "float32")


PRESETS = {"smoke": Sizes(n=60, ridges=5, repetitions=2), "default": Sizes()}


def rows(preset: str) -> list[Row]:
    """`rf.ridge_path`, its Gram matrix included, in every dtype of the preset."""
    sizes = PRESETS[preset]
    return [_path(sizes, dtype) for dtype in sizes.dtypes]


def _path(sizes: Sizes, dtype: str) -> Row:
    rng = np.random.default_rng(0)
    with jax.enable_x64(dtype == "float64"):
        X = jnp.asarray(rng.normal(size=(sizes.n, sizes.d)), dtype)
        y = jnp.sin(X[:, 0]) + jnp.asarray(0.1 * rng.normal(size=sizes.n), dtype)
        kernel, ridges = rf.rbf(sizes.d**0.5), jnp.asarray(np.logspace(-3, 3, sizes.ridges))
        K, eigh = kernel(X), jax.jit(jnp.linalg.eigh)
        times = interleaved(
            {"path": lambda: rf.ridge_path(kernel, X, y, ridges), EIGH: lambda: eigh(K)}, sizes.repetitions
        )
    settings = {"n": sizes.n, "m": sizes.n, "d": sizes.d, "ridges": sizes.ridges, "dtype": dtype}
    return Row(
        "path",
        f"rf.ridge_path {dtype}",
        settings,
        seconds=times.seconds("path"),
        repetitions=sizes.repetitions,
        against=EIGH,
        ratio=times.ratio("path", EIGH),
        peak_rss_bytes=peak_rss_bytes(),
        target={"ratio": 1.5},
    )

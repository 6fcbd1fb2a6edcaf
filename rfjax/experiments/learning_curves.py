"""The claim: the error of kernel regression at n samples can be computed before a sample is drawn, or from the data's own
Gram matrix.

Ridge regression with an NTK on a ReLU neuron, inputs uniform on the sphere, beside the prediction from the kernel's
spectrum and the target's energies; and on real data, beside the prediction from half of them.  Simon, Dickens, Karkada &
DeWeese 2023; Wei, Hu & Steinhardt 2022.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.datasets import BUILT_IN
from rfjax.experiments.cells import Cell, Row
from rfjax.experiments.experiment import Experiment, Settings, Table, count, names, number
from rfjax.plots import learning_curves as plots
from rfjax.plots.learning_curves import groups

DEGREE = 60  # of the spectrum; what lies beyond acts as a ridge


@dataclass(frozen=True)
class Spec(Settings):
    """What is measured."""

    dims: tuple[int, ...] = count((10, 30), "Input dimensions of the synthetic data.", least=3)
    data: tuple[str, ...] = names(("diabetes", "digits"), "Real data sets.", BUILT_IN)
    samples: tuple[int, ...] = count((10, 30, 100, 300, 1000, 3000), "Numbers of samples.")
    ridge: float = number(0.03, "Ridge on the synthetic data, absolute.", above=0.0)
    real_ridge: float = number(1.0, "Ridge on the real data, absolute.", above=0.0)
    noise: float = number(0.05, "Variance of the noise of the synthetic labels.", least=0.0)
    draws: int = count(12, "Repetitions at each size, fewer at large ones: some 30,000 samples in all.")
    points: int = count(4000, "Fresh points for risks.", least=2)
    seed: int = count(0, "The first seed.", least=0)


PRESETS = {
    "smoke": Spec(dims=(10,), data=("diabetes",), samples=(10, 100), draws=4, points=500),
    "default": Spec(),
    "full": Spec(dims=(10, 30, 100), samples=(10, 30, 100, 300, 1000, 3000, 10_000), draws=40, points=20_000),
}


def cells(spec: Spec) -> Iterator[Cell]:
    """A cell a data set and number of samples."""
    for n in spec.samples:
        repeats = max(2, min(spec.draws, 30_000 // n))
        for d in spec.dims:
            settings = spec.only("ridge", "noise", "points", "seed")
            settings |= {"data": f"sphere, d = {d}", "d": d, "n": n, "draws": repeats}
            yield Cell.of("learning-curves", f"{settings['data']}, {n} samples", settings, _synthetic)
        for name in spec.data:
            settings = {"data": name, "n": n, "ridge": spec.real_ridge, "draws": repeats, "seed": spec.seed}
            yield Cell.of("learning-curves", f"{name}, {n} samples", settings, _real)


def _kernel() -> Any:
    return rf.ntk(rf.mlp(depth=2, width=1))


def _synthetic(settings: Row) -> list[Row]:
    """Errors of fits on samples, beside the spectrum's prediction."""
    d, n, points = settings["d"], settings["n"], settings["points"]
    errors = []
    for draw in range(settings["draws"]):
        rng = np.random.default_rng((settings["seed"], d, n, draw))
        X = rng.normal(size=(n + points, d))
        X *= d**0.5 / np.linalg.norm(X, axis=1, keepdims=True)
        truth = np.maximum(X[:, 0], 0)
        y = truth[:n] + settings["noise"] ** 0.5 * rng.normal(size=n)
        fit = rf.ridge_regression(_kernel(), jnp.asarray(X[:n]), jnp.asarray(y), ridge=settings["ridge"])
        errors.append(float(np.mean((np.asarray(fit(jnp.asarray(X[n:]))) - truth[n:]) ** 2)))
    return [_row(settings, errors, predict(d, settings["ridge"], settings["noise"], [n])[0])]


def predict(d: int, ridge: float, noise: float, samples: Sequence[int]) -> list[float]:
    """E(f − g)² at each number of samples, by theory."""
    curve = rf.theory.kernel_learning_curve(_modes(d), n=np.asarray(samples), ridge=ridge, noise=noise)
    return np.asarray(curve.risk).tolist()


@lru_cache
def _modes(d: int) -> rf.theory.Modes:
    """The kernel's eigenspaces on the sphere of radius √d, and the energies of a ReLU neuron without bias in them.

    Such a neuron is ‖x‖ times a function of the direction, and E‖x‖² = d under the Gaussian: both have the same energies.
    """
    spectrum = rf.theory.kernel_spectrum(_kernel(), d, degree=DEGREE)
    energies = rf.theory.energies(rf.tasks.single_neuron(d), 2 * DEGREE, basis="spherical")
    inside = energies.energy[: DEGREE + 1]
    return rf.theory.modes(
        spectrum.log_eigenvalues,
        inside,
        spectrum.log_multiplicity,
        log=True,
        outside=max(energies.second_moment - float(inside.sum()), 0.0),
        unresolved=spectrum.remainder,
    )


def _real(settings: Row) -> list[Row]:
    """Errors of fits on one half of the data, beside the prediction from the Gram matrix of the other."""
    X, y = _data(settings["data"])
    _, others = _halves(len(X), settings["seed"])
    n = settings["n"]
    if n > len(others) - 50:  # nothing would be left to test on
        return []
    kernel, rng = _real_kernel(X), np.random.default_rng((settings["seed"], n))
    errors = []
    for _ in range(settings["draws"]):
        chosen = rng.permutation(others)
        train, test = chosen[:n], chosen[n:]
        fit = rf.ridge_regression(kernel, jnp.asarray(X[train]), jnp.asarray(y[train]), ridge=settings["ridge"])
        errors.append(float(((np.asarray(fit(jnp.asarray(X[test]))) - y[test]) ** 2).sum(axis=1).mean()))
    value, stderr = predict_real(settings["data"], settings["ridge"], settings["seed"], [n])
    return [_row(settings, errors, value[0]) | {"predicted_stderr": stderr[0]}]


def predict_real(name: str, ridge: float, seed: int, samples: Sequence[int]) -> tuple[list[float], list[float]]:
    """E(f − y)² on fresh labels at each number of samples, and its standard error, by the first half's Gram matrix."""
    X, y = _data(name)
    mine, _ = _halves(len(X), seed)
    K = _real_kernel(X)(jnp.asarray(X[mine]))
    curve = rf.theory.gram_learning_curve(np.asarray(K), y[mine], n=np.asarray(samples), ridge=ridge)
    return np.asarray(curve.test_error).tolist(), np.asarray(curve.stderr).tolist()


@lru_cache
def _data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Columns and targets [n, c] of mean 0 and variance 1 a data set."""
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    columns = X.std(axis=0) > 0
    X = (X[:, columns] - X[:, columns].mean(axis=0)) / X[:, columns].std(axis=0)
    Y = np.eye(int(y.max()) + 1)[y] if np.issubdtype(y.dtype, np.integer) else y[:, None]
    Y = Y - Y.mean(axis=0)
    return X, Y / np.sqrt((Y**2).sum(axis=1).mean())


def _real_kernel(X: np.ndarray) -> Any:
    return rf.rbf(float(X.shape[1]) ** 0.5)


def _halves(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    one, other = np.array_split(np.random.default_rng(seed).permutation(n), 2)
    return one, other


def _row(settings: Row, errors: Sequence[float], predicted: float) -> Row:
    stderr = float(np.std(errors, ddof=1) / len(errors) ** 0.5)
    return settings | {"error": float(np.mean(errors)), "stderr": stderr, "predicted": predicted}


def figures(rows: Sequence[Row], spec: Spec) -> dict[str, Figure]:
    """Errors against samples with theory's curves: synthetic data beside real ones."""
    counts = np.unique(np.round(np.geomspace(min(spec.samples), max(spec.samples), 60)).astype(int)).tolist()
    curves: dict[str, tuple[list[int], list[float], list[float] | None]] = {}
    for d in spec.dims:
        curves[f"sphere, d = {d}"] = counts, predict(d, spec.ridge, spec.noise, counts), None
    for name in spec.data:
        most = max((row["n"] for row in rows if row["data"] == name), default=0)
        inside = [n for n in counts if n <= most]
        if inside:
            curves[name] = inside, *predict_real(name, spec.real_ridge, spec.seed, inside)
    return {"learning-curves": plots.draw(rows, curves)}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Errors by data set and samples, beside what was predicted."""
    lines: list[list[str] | None] = []
    for name, mine in groups(rows).items():
        lines += [None] if lines else []
        for row in mine:
            off = f"{100 * (row['error'] / row['predicted'] - 1):+.1f} %"
            lines.append(
                [name, str(row["n"]), f"{row['error']:.4g} ± {row['stderr']:.1g}", f"{row['predicted']:.4g}", off]
            )
    return [
        Table(
            "Squared error of kernel ridge regression", ("data", "samples", "simulated", "predicted", "off by"), lines
        )
    ]


READING = (
    "How to read this. The simulated errors are means over draws with their standard errors. On the sphere the prediction "
    "knows the kernel and the target, and no data; on real data it knows one half of them, and the fits are on the other. "
    "It is an equivalent for many dimensions, and at some ten samples it is only near."
)

EXPERIMENT = Experiment(
    "learning-curves",
    Spec,
    PRESETS,
    cells,
    figures,
    tables,
    READING,
    ("data", "n", "error", "stderr", "predicted", "seconds"),
)

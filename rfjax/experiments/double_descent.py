"""The claim: with as many random features as samples the error has a peak, more features descend again, and theory has
the whole curve.

Ridge regression on random ReLU neurons from n noisy samples of one ReLU neuron, beside the deterministic equivalent, at
several ridges: the peak at features = n is what a small ridge leaves, and a good ridge has none.  Belkin, Hsu, Ma &
Mandal 2019; Simon, Karkada, Ghosh & Belkin 2024.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.experiments.cells import Cell, Row
from rfjax.experiments.experiment import Experiment, Settings, Table, count, number
from rfjax.plots import double_descent as plots
from rfjax.plots.double_descent import averaged


@dataclass(frozen=True)
class Spec(Settings):
    """What is measured."""

    d: int = count(20, "Input dimension.")
    bias: float = number(-0.5, "Bias of the target, ‖w‖ being 1.")
    n: int = count(200, "Samples.")
    features: tuple[int, ...] = count((20, 50, 100, 150, 180, 200, 220, 260, 350, 600, 1200, 2400), "Random features.")
    ridges: tuple[float, ...] = number((1e-6, 1e-3, 0.03), "Ridges, absolute.", above=0.0)
    noise: float = number(0.02, "Variance of the noise of the labels.", least=0.0)
    draws: int = count(20, "Repetitions, each with its own samples, features and noise.")
    samples: int = count(8192, "Fresh points for risks.", least=2)
    seed: int = count(0, "The first seed.", least=0)


PRESETS = {
    "smoke": Spec(d=5, n=30, features=(10, 30, 60), ridges=(1e-3,), draws=3, samples=500),
    "default": Spec(),
    "full": Spec(n=1000, features=(100, 300, 700, 900, 1000, 1100, 1300, 2000, 5000, 10_000), draws=50, samples=2**16),
}


def cells(spec: Spec) -> Iterator[Cell]:
    """A cell a number of features and ridge."""
    for features in spec.features:
        for ridge in spec.ridges:
            fixed = spec.only("d", "bias", "n", "noise", "draws", "samples", "seed")
            settings = fixed | {"features": features, "ridge": ridge}
            yield Cell.of("double-descent", f"{features} features, ridge {ridge:g}", settings, _measure)


def _measure(settings: Row) -> list[Row]:
    """All draws as one compiled program."""
    d, n, samples = settings["d"], settings["n"], settings["samples"]
    task = rf.tasks.single_neuron(d, bias=settings["bias"])

    def risk(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, 4)
        X, y = task.sample(keys[0], n)
        y = y + settings["noise"] ** 0.5 * jax.random.normal(keys[1], y.shape)
        phi = rf.random_neurons(d, settings["features"], key=keys[2], bias=rf.features.Constant(settings["bias"]))
        fit = rf.ridge_regression(phi, X, y, ridge=settings["ridge"], throw=False)
        fresh, truth = task.sample(keys[3], samples)
        return ((fit(fresh) - truth) ** 2).mean() / task.variance

    first = jax.random.key(settings["seed"])
    keys = jax.vmap(lambda i: jax.random.fold_in(first, i))(np.arange(settings["draws"]))
    errors = np.asarray(jax.jit(lambda keys: jax.lax.map(risk, keys))(keys))
    stderr = float(errors.std(ddof=1) / len(errors) ** 0.5) if len(errors) > 1 else 0.0
    predicted = predict(settings, [settings["features"]], settings["ridge"])[0]
    return [settings | {"relative_risk": float(errors.mean()), "stderr": stderr, "predicted": predicted}]


def predict(settings: Row, features: Sequence[int], ridge: float) -> list[float]:
    """The relative risk that theory expects, for each number of features."""
    task = rf.tasks.single_neuron(settings["d"], bias=settings["bias"])
    modes = rf.theory.random_neuron_modes(task, bias=rf.features.Constant(settings["bias"]))
    found = rf.theory.random_feature_curve(
        modes, n=settings["n"], features=np.asarray(features), ridge=ridge, noise=settings["noise"]
    )
    return (found.risk / task.variance).tolist()


def figures(rows: Sequence[Row], spec: Spec) -> dict[str, Figure]:
    """Errors and theory's curves against the number of features."""
    counts = np.unique(np.round(np.geomspace(min(spec.features), max(spec.features), 150)).astype(int)).tolist()
    settings = {"d": spec.d, "bias": spec.bias, "n": spec.n, "noise": spec.noise}
    curves = {ridge: (counts, predict(settings, counts, ridge)) for ridge in spec.ridges}
    return {"double-descent": plots.draw(rows, curves)}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Errors by ridge and features, beside what theory expects."""
    lines: list[list[str] | None] = []
    for ridge in sorted({row["ridge"] for row in rows}):
        lines += [None] if lines else []
        for row in averaged(rows, ridge):
            error = f"{row['relative_risk']:.3g} ± {row['stderr']:.1g}"
            lines.append([f"{ridge:g}", str(row["features"]), error, f"{row['predicted']:.3g}"])
    first = rows[0]
    title = f"Relative error of random features on {first['n']} noisy samples of one ReLU neuron, d = {first['d']}"
    return [Table(title, ("ridge", "features", "relative error", "theory"), lines)]


READING = (
    "How to read this. Errors are means over draws of samples, features and noise, with their standard errors; theory has "
    "no free parameter. At features = samples the fit first goes through every noisy label, and does so at any price: a "
    "larger ridge takes the peak away. Around a peak at a tiny ridge means over draws have heavy tails, and their standard "
    "error is itself uncertain."
)

EXPERIMENT = Experiment(
    "double-descent",
    Spec,
    PRESETS,
    cells,
    figures,
    tables,
    READING,
    ("n", "features", "ridge", "relative_risk", "stderr", "predicted", "seconds"),
)

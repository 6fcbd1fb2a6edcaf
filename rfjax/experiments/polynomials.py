"""The claim: kernels and random features learn a polynomial degree by degree, degree ℓ from d^ℓ samples or features.

The target has its energy spread evenly over degrees 1 to `degree`.  Against log n/log d or log N/log d the errors of all
dimensions fall on one staircase, a step a degree: polynomials are what these methods learn, and all that they learn
cheaply.  Ghorbani, Mei, Misiakiewicz & Montanari 2021; Yehudai & Shamir 2019.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Array
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.experiments.cells import Cell, Row
from rfjax.experiments.experiment import Experiment, Settings, Table, count, number
from rfjax.plots import polynomials as plots
from rfjax.plots.polynomials import VIEWS, averaged

B_STD = 1.0  # without biases a ReLU's features hold no odd degree beyond 1


@dataclass(frozen=True)
class Spec(Settings):
    """What is measured."""

    dims: tuple[int, ...] = count((10, 20, 40), "Input dimensions d.", least=2)
    degree: int = count(3, "Degree of the target.")
    exponents: tuple[float, ...] = number(
        (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25), "Samples and features, as powers of d.", above=0.0
    )
    most: int = count(4000, "The most samples or features; larger powers are left out.")
    surplus: int = count(8, "Samples for each random feature.")
    ridge: float = number(1e-3, "Ridge of every regression, absolute.", above=0.0)
    samples: int = count(8192, "Fresh points for risks.", least=2)
    seeds: int = count(3, "Repetitions, each with its own target and its own draws.")
    seed: int = count(0, "The first seed.", least=0)


PRESETS = {
    "smoke": Spec(dims=(6,), degree=2, exponents=(1.0, 2.0), surplus=4, samples=500, seeds=1),
    "default": Spec(),
    "full": Spec(dims=(10, 20, 40, 80), most=20_000, samples=2**16, seeds=5),
}


def cells(spec: Spec) -> Iterator[Cell]:
    """A cell a dimension, view, size and seed; small ones first."""
    for exponent in spec.exponents:
        for d in spec.dims:
            size = round(d**exponent)
            if size > spec.most:
                continue
            for view in VIEWS:
                for repeat in range(spec.seeds):
                    settings = spec.only("degree", "surplus", "ridge", "samples")
                    settings |= {"d": d, "exponent": exponent, "size": size, "view": view, "seed": spec.seed + repeat}
                    yield Cell.of("polynomials", f"d={d} {VIEWS[view]}, {size}", settings, _measure)


def _measure(settings: Row) -> list[Row]:
    """Fit one target, and sample the risk of the fit."""
    d, size = settings["d"], settings["size"]
    keys = jax.random.split(jax.random.fold_in(jax.random.key(settings["seed"]), d), 4)
    task = rf.tasks.polynomial(d, settings["degree"], key=keys[0])
    fit = _FITS[settings["view"]](task, size, settings, keys[1], keys[2])
    risk = rf.population_risk(fit, task, key=keys[3], samples=settings["samples"])
    return [settings | {"relative_risk": float(risk.relative), "stderr": float(risk.relative_stderr)}]


def _kernel(task: Any, n: int, settings: Row, data: Array, draw: Array) -> Any:
    """The NTK on n samples."""
    kernel = rf.ntk(rf.mlp(depth=1, width=1, b_std=B_STD))
    return rf.ridge_regression(kernel, *task.sample(data, n), ridge=settings["ridge"])


def _features(task: Any, width: int, settings: Row, data: Array, draw: Array) -> Any:
    """Random ReLU features on many samples."""
    phi = rf.random_features(rf.mlp(depth=1, width=width, b_std=B_STD), task.d, key=draw)
    return rf.ridge_regression(phi, *task.sample(data, settings["surplus"] * width), ridge=settings["ridge"])


_FITS: dict[str, Callable[..., Any]] = {"ntk": _kernel, "random_features": _features}


def figures(rows: Sequence[Row], spec: Spec) -> dict[str, Figure]:
    """Errors against log n/log d and log N/log d, beside the staircase."""
    return {"polynomials": plots.draw(rows)}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Errors by view, dimension and size."""
    lines: list[list[str] | None] = []
    for view, label in VIEWS.items():
        lines += [None] if lines else []
        for row in averaged(rows, view):
            error = f"{row['error']:.3g} ± {row['stderr']:.1g}"
            lines.append([label, str(row["d"]), str(row["size"]), f"{row['exponent']:g}", error])
    degree = rows[0]["degree"]
    title = f"Relative error on polynomials with equal energy in degrees 1 to {degree}"
    return [Table(title, ("view", "d", "samples or features", "as a power of d", "relative error"), lines)]


READING = (
    "How to read this. A method that has learned the degrees up to l leaves the energy of those above: with 3 degrees 1, "
    "2/3, 1/3 and 0. As d grows the steps stand at the whole powers of d; at these d they are rounded. What is beyond "
    "the last power that the machine can pay is not learned at all: a ReLU neuron has energy in every degree."
)

EXPERIMENT = Experiment(
    "polynomials",
    Spec,
    PRESETS,
    cells,
    figures,
    tables,
    READING,
    ("view", "d", "size", "exponent", "seed", "relative_risk", "stderr", "seconds"),
)

"""The claim: with random features a small error asks for many of them or for large coefficients, and no width makes up for
both.

The best readout of random ReLU neurons on one ReLU neuron, in the population and exact, at every ridge: its error, and the
size of its coefficients Σ_i ‖f_i‖(E_w u_i²)^{1/2}, averaged over directions w of the target, beside the lower bound that
holds for any number of any fixed features.  Yehudai & Shamir 2019.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import rfjax as rf
from rfjax.activations import relu
from rfjax.activations.neurons import pair_moments
from rfjax.experiments.cells import Cell, Row
from rfjax.experiments.experiment import Experiment, Settings, Table, count, number
from rfjax.plots import magnitude as plots
from rfjax.plots.magnitude import size_at


@dataclass(frozen=True)
class Spec(Settings):
    """What is measured."""

    dims: tuple[int, ...] = count((5, 10, 20), "Input dimensions d.")
    bias: float = number(-1.0, "Bias of the target, ‖w‖ being 1.")
    widths: tuple[int, ...] = count((30, 100, 300, 1000, 2000), "Numbers of random neurons.")
    errors: tuple[float, ...] = number((0.5, 0.3, 0.1, 0.03), "Relative errors at which sizes are compared.", above=0.0)
    directions: int = count(64, "Directions of the target, on the same neurons.", least=2)
    ridges: int = count(40, "Ridges on the way, from 1e-12 to 100.", least=2)
    seed: int = count(0, "Of neurons and directions.", least=0)


PRESETS = {
    "smoke": Spec(dims=(5,), widths=(20, 60), errors=(0.5, 0.2), directions=8, ridges=10),
    "default": Spec(),
    "full": Spec(dims=(5, 10, 20, 40), widths=(30, 100, 300, 1000, 3000, 10_000), directions=256),
}


def cells(spec: Spec) -> Iterator[Cell]:
    """A cell a dimension and width."""
    for d in spec.dims:
        for width in spec.widths:
            settings = spec.only("bias", "directions", "ridges", "seed") | {"d": d, "width": width}
            yield Cell.of("magnitude", f"d={d}, {width} neurons", settings, _measure)


def _measure(settings: Row) -> list[Row]:
    """A row a ridge, from one eigendecomposition of the neurons' moments."""
    d, width = settings["d"], settings["width"]
    task = rf.tasks.single_neuron(d, bias=settings["bias"])
    key, directions_key = jax.random.split(jax.random.fold_in(jax.random.key(settings["seed"]), d))
    phi = rf.random_neurons(d, width, key=key)
    V = jax.random.normal(directions_key, (settings["directions"], d))
    V = V / jnp.linalg.norm(V, axis=1, keepdims=True)
    K, k = (np.asarray(moments) for moments in _moments(phi.weight, phi.bias, V, settings["bias"]))
    size = np.sqrt(np.diagonal(K))
    values, vectors = np.linalg.eigh(K / np.outer(size, size))
    along = vectors.T @ (k / size[:, None])
    second = task.mean**2 + task.variance
    rows = []
    for ridge in np.geomspace(1e-12, 100, settings["ridges"]):
        shrunk = along / (np.maximum(values, 0) + ridge)[:, None]
        u = vectors @ shrunk  # coefficients times ‖f_i‖
        errors = second - 2 * (along * shrunk).sum(axis=0) + (values[:, None] * shrunk**2).sum(axis=0)
        own = {
            "ridge": float(ridge),
            "relative_risk": float(errors.mean() / task.variance),
            "stderr": float(errors.std(ddof=1) / len(errors) ** 0.5 / task.variance),
            "size": float(np.sqrt((u**2).mean(axis=1)).sum() / task.variance**0.5),
        }
        rows.append(settings | own)
    return rows


@jax.jit
def _moments(W: jax.Array, b: jax.Array, V: jax.Array, c: float) -> tuple[jax.Array, jax.Array]:
    """E f fᵀ, and E f g for every direction of the target."""
    return pair_moments(W, b, relu, W, b, relu), pair_moments(W, b, relu, V, jnp.full(V.shape[0], c), relu)


def figures(rows: Sequence[Row], spec: Spec) -> dict[str, Figure]:
    """Errors against sizes, and sizes at fixed errors against widths, beside the bound."""
    return {"magnitude": plots.draw(rows, bounds(spec), spec.errors)}


def bounds(spec: Spec) -> dict[int, tuple[list[float], list[float]]]:
    """For each dimension relative errors, and the least size of coefficients with which they can be reached."""
    errors = np.unique(np.append(np.geomspace(1e-3, 0.99, 60), spec.errors))
    found = {}
    for d in spec.dims:
        task = rf.tasks.single_neuron(d, bias=spec.bias)
        found[d] = errors.tolist(), [rf.theory.coefficient_bound(task, float(error)).value for error in errors]
    return found


def tables(rows: Sequence[Row]) -> list[Table]:
    """Sizes at an error of 0.3 and 0.1, by dimension and width."""
    lines: list[list[str] | None] = []
    shown = (0.3, 0.1)
    for d in sorted({row["d"] for row in rows}):
        lines += [None] if lines else []
        task = rf.tasks.single_neuron(d, bias=rows[0]["bias"])
        for width in sorted({row["width"] for row in rows}):
            mine = [row for row in rows if row["d"] == d and row["width"] == width]
            sizes = [size_at(mine, error) for error in shown]
            least = min(row["relative_risk"] for row in mine)
            lines.append(
                [str(d), str(width), f"{least:.3g}", *("–" if size is None else f"{size:.3g}" for size in sizes)]
            )
        limits = [f"{rf.theory.coefficient_bound(task, error).value:.3g}" for error in shown]
        lines.append([str(d), "any", "", *limits])
    columns = ("d", "neurons", "least error", "size at error 0.3", "at error 0.1")
    return [Table("Size of the coefficients, Σ‖f_i‖(E u_i²)^½ in standard deviations of the target", columns, lines)]


READING = (
    "How to read this. In the rows of any number of neurons stands the lower bound. It grows with d without end at a fixed "
    "error, and says nothing of a network that chooses its neurons for one direction: the average over directions is within "
    "the sum. Coefficients in the population are not kept small by data; a ridge keeps them, and costs error."
)

EXPERIMENT = Experiment(
    "magnitude",
    Spec,
    PRESETS,
    cells,
    figures,
    tables,
    READING,
    ("d", "width", "ridge", "relative_risk", "stderr", "size", "seconds"),
)

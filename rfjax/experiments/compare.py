"""The question: on this table, does a trained network beat the kernels that theory reads it as?

Cross-validated errors of the network, its linearisation, NTK, NNGP and random features, and of an RBF kernel: the same
folds for all, every setting chosen by the rows to fit alone.
"""

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rfjax import checks
from rfjax.datasets import Source, Table, folds, read, split
from rfjax.experiments.cells import Cell, Progress, Row, run_cells
from rfjax.experiments.contenders import CONTENDERS, errors
from rfjax.experiments.memory import peak_memory
from rfjax.experiments.paired import standings, verdict
from rfjax.plots import compare as plots
from rfjax.storage import write_whole

LABELS = {view: contender.label for view, contender in CONTENDERS.items()}


@dataclass(frozen=True)
class Spec:
    """What is compared, and among which settings each contender chooses.

    source: the table.  views: the contenders.  folds: of the cross-validation.  depths: hidden layers.  biases: standard
    deviations of biases, of all but the trained network.  lengths: of the RBF kernel, in units of the distance of a
    point from the mean.  ridges: in units of the mean of k(x, x).  rates, steps, batch: of Adam.  rounds: how often
    other rows are set aside to choose the network's settings.  width: of the networks.  features: number of random ones.
    exact: rows by which ridges and kernels are chosen, at most.  centres: of a kernel's fit to more than 20,000 rows.
    """

    source: Source
    views: tuple[str, ...] = tuple(CONTENDERS)
    folds: int = 5
    seed: int = 0
    dtype: str = "float64"
    depths: tuple[int, ...] = (1, 2)
    biases: tuple[float, ...] = (0.1, 1.0)
    lengths: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    ridges: tuple[float, ...] = tuple(float(f"{r:.3g}") for r in np.logspace(-4, 2, 13))
    rates: tuple[float, ...] = (0.003, 0.01)
    steps: tuple[int, ...] = (30, 100, 300, 1000, 2000)
    width: int = 256
    features: int = 512
    batch: int = 64
    rounds: int = 1
    exact: int = 2000
    centres: int = 1000

    def __post_init__(self) -> None:
        for name in ("views", "depths", "biases", "lengths", "ridges", "rates", "steps"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        for view in self.views:
            checks.choice("views", view, CONTENDERS)
        for name in ("depths", "steps"):
            for value in getattr(self, name):
                checks.count(name, value)
        for name, least in (("lengths", 0.0), ("ridges", 0.0), ("rates", 0.0)):
            for value in getattr(self, name):
                checks.number(name, value, above=least)
        for value in self.biases:
            checks.number("biases", value, least=0.0)
        for name in ("width", "features", "batch", "centres"):
            checks.count(name, getattr(self, name))
        checks.count("folds", self.folds, least=2)
        checks.count("exact", self.exact, least=2)
        checks.count("seed", self.seed, least=0)
        if checks.count("rounds", self.rounds) > 4:
            raise ValueError(f"rounds must be at most 4, the quarters of the rows to fit, got {self.rounds}")
        checks.choice("dtype", self.dtype, ("float32", "float64"))


PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {
        "folds": 3, "depths": (1,), "biases": (0.1,), "lengths": (1.0, 2.0), "ridges": (0.001, 0.01, 0.1, 1.0, 10.0),
        "rates": (0.01,), "steps": (30, 100, 300), "width": 64, "features": 128,
    },
    "default": {},
    "full": {
        "folds": 10, "depths": (1, 2, 3), "biases": (0.0, 0.1, 1.0), "lengths": (0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
        "rates": (0.001, 0.003, 0.01, 0.03), "steps": (30, 100, 300, 1000, 3000, 10_000), "width": 1024, "features": 4096,
        "rounds": 4, "exact": 5000, "centres": 4000,
    },
}  # fmt: skip
SMOKE_ROWS = 240


def run(
    spec: Spec,
    out: Path,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> list[Row]:
    """Measure what the store in `out` does not hold yet, draw compare.png and .svg there, and return every row.

    Rows have data, view, fold, n (rows to fit), error (regression: squared error over the variance of the target;
    classification: the share misread), constant (the same of the best constant), chosen, seconds, fit_seconds and memory
    (bytes that the work took at most).

    **Raises** ValueError for a table that cannot be compared on, StorageError when `out` cannot be used, RuntimeError
    for float64 without jax_enable_x64.
    """
    if spec.dtype == "float64" and not jax.config.read("jax_enable_x64"):
        raise RuntimeError("dtype='float64' needs jax.config.update('jax_enable_x64', True) first")
    table = read(spec.source)
    configuration = {"experiment": "compare", **_described(table), **asdict(spec)}
    todo = list(cells(spec, table))
    rows = run_cells(todo, out / "compare.sqlite", configuration, workers=workers, executor=executor, report=report)
    for name, content in plots.figures(standings(rows), rows, LABELS, verdict(standings(rows), LABELS)).items():
        write_whole(out / name, content)
    return rows


def cells(spec: Spec, table: Table) -> Iterator[Cell]:
    """A cell a contender and fold."""
    folds(table, spec.folds, spec.seed)  # says what is wrong before anything is computed
    for view in spec.views:
        used = {name: getattr(spec, name) for name in CONTENDERS[view].uses}
        base = {
            "data": table.fingerprint,
            "scale": table.scale,
            "seed": spec.seed,
            "folds": spec.folds,
            "dtype": spec.dtype,
        }
        for fold in range(spec.folds):
            settings = {"experiment": "compare", "view": view, "fold": fold, **base, **used}
            compute = partial(_measure, spec, table.fingerprint, view, fold)
            yield Cell(f"{LABELS[view]}, fold {fold + 1} of {spec.folds}", settings, compute)


def _measure(spec: Spec, fingerprint: str, view: str, number: int) -> list[Row]:
    """One cell's row.  The table is read where it is computed: in another process it is not sent along."""
    table = read(spec.source)
    if table.fingerprint != fingerprint:
        raise ValueError(f"{spec.source.data} has changed since the comparison was started")
    classes = table.classes is not None
    fold = split(table, folds(table, spec.folds, spec.seed)[number], spec.dtype)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(spec.seed), number), zlib.crc32(view.encode()))
    with peak_memory() as peak:
        prediction = CONTENDERS[view].predict(spec, fold, classes, key)
    constant = np.broadcast_to(fold.Y.mean(axis=0), fold.Y_new.shape)
    error, trivial = (
        float(errors(values, fold.Y_new, classes)) * fold.scale for values in (prediction.values, constant)
    )
    row = {
        "data": table.name, "task": table.task, "view": view, "fold": number, "n": len(fold.X), "error": error,
        "constant": trivial, "chosen": prediction.chosen, "fit_seconds": round(prediction.seconds, 4), "memory": peak.bytes,
    }  # fmt: skip
    return [row]


def _described(table: Table) -> Row:
    return {
        "data": table.name, "target": table.target, "task": table.task, "why": table.why, "rows": len(table.y),
        "columns": len(table.columns), "classes": None if table.classes is None else len(table.classes),
    }  # fmt: skip


def headline(rows: list[Row]) -> str:
    """What the rows say, in one sentence."""
    return verdict(standings(rows), LABELS)


def summary(rows: list[Row]) -> list[Row]:
    """A row a contender, best first."""
    return [
        {
            "": LABELS[standing.view], "error": standing.error, "± s.e.": standing.stderr,
            "minus network": standing.difference, "± paired": standing.difference_stderr,
            "s a fold": standing.seconds, "fit, s": standing.fit_seconds,
            "MiB": None if standing.memory is None else round(standing.memory / 2**20),
        }
        for standing in standings(rows)
    ]  # fmt: skip


def with_changes(preset: str, source: Source, **changes: Any) -> Spec:
    """A preset for this source with some settings replaced; None keeps the preset's.

    **Raises** ValueError for an unknown preset.
    """
    settings = PRESETS[checks.choice("preset", preset, PRESETS)]
    if preset == "smoke" and source.rows is None:
        source = replace(source, rows=SMOKE_ROWS)
    return Spec(source, **{**settings, **{name: value for name, value in changes.items() if value is not None}})

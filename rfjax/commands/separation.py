"""`rfjax separation`: the main experiment from the command line, with a progress bar, a table and two figures."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rfjax.experiments.cells import Progress

Row = dict[str, Any]

COLUMNS = ("d", "norm", "bias", "view", "n", "width", "seed", "data", "relative_risk", "stderr", "bound", "seconds")


@dataclass
class Separation:
    """What each view of a network can learn of one ReLU neuron, beside the bound that holds for any fixed features.

    The target is [⟨w, x⟩ + b]₊ with Gaussian x.  Writes separation.sqlite, separation.png/.svg and widths.png/.svg.
    Interrupted and started again, it goes on where it was.  It computes in float64.
    """

    preset: Literal["smoke", "default", "full"] = "default"
    """smoke: some seconds; default: some minutes; full: for a large machine."""
    out: Path = Path("results/separation")
    """Folder for the store and the figures."""
    json: bool = False
    """Print one JSON object a line instead of a table."""
    workers: int = 2
    """Cells computed side by side."""
    dims: tuple[int, ...] | None = None
    """Input dimensions d."""
    norm: float | None = None
    """Length of w."""
    bias: float | None = None
    """Bias b."""
    n: int | None = None
    """Training samples."""
    widths: tuple[int, ...] | None = None
    """Numbers of random features."""
    ridge: float | None = None
    """Ridge of every regression, absolute."""
    seeds: int | None = None
    """Repetitions, each with its own w and its own draws."""
    seed: int | None = None
    """The first seed."""

    def run(self) -> None:
        """Measure, then print the table (or the JSON lines) and say where the figures are."""
        if self.preset == "smoke":
            _compile_quickly()
        import jax

        jax.config.update("jax_enable_x64", True)
        from rfjax.experiments import separation

        own = {"preset", "out", "json", "workers"}
        changes = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in own}
        spec = separation.with_changes(self.preset, **changes)
        with _bar() as report:
            rows = separation.run(spec, self.out, workers=self.workers, report=report)
        if self.json:
            for row in rows:
                print(json.dumps({name: row[name] for name in COLUMNS} | row))
        else:
            _show(rows, self.out)


def _compile_quickly() -> None:
    """Nearly all of the smoke preset is compilation: have XLA do less of it.  The user's own XLA_FLAGS come first."""
    flags = "--xla_backend_optimization_level=0"
    if version("jaxlib").startswith("0.10."):  # XLA stops at a flag that it does not know
        flags += " --xla_cpu_use_fusion_emitters=false"
    os.environ.setdefault("XLA_FLAGS", flags)


@contextmanager
def _bar() -> "Iterator[Any]":
    """A progress bar on stderr over the cells."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def report(progress: "Progress") -> None:
            bar.update(task, completed=progress.done, total=progress.total, description=progress.name)

        yield report


def _show(rows: Sequence[Row], out: Path) -> None:
    """The tables, and what they say."""
    from rich.console import Console
    from rich.table import Table

    from rfjax.plots.separation import STYLES, summarise

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 130)
    first = rows[0]
    title = f"Relative error E(f − g)²/Var g on one ReLU neuron, b = {first['bias']:g}, ‖w‖ = {first['norm']:g}"
    table = Table(title=title)
    for name in ("d", "view", "samples", "width", "relative error", "bound for fixed features"):
        table.add_column(name, no_wrap=True, justify="left" if name == "view" else "right")
    previous = None
    for row in summarise(rows):
        if previous not in (None, row["d"]):
            table.add_section()
        previous = row["d"]
        samples = {"population": "all (exact)", "fresh": "fresh"}.get(row["data"], str(row["n"]))
        table.add_row(
            str(row["d"]), STYLES[row["kind"]][0], samples, "" if row["width"] is None else str(row["width"]),
            _error(row), "" if row["kind"].startswith(("network", "neuron")) else f"{row['bound']:.3g}",
        )  # fmt: skip
    console.print(table)
    widths = Table("d", "‖w‖", "error", "features needed", "gradient descent, steps", title="What one neuron costs")
    for row in rows:
        if row["view"] == "neuron" and row["data"] == "population":
            error = f"{row['error']:g} {row['error_is']}"
            widths.add_row(
                str(row["d"]),
                f"{row['norm']:.3g}",
                error,
                f"10^{row['log10_minimal_width']:.1f}",
                str(row["steps"]) if row["reached"] else "not reached",
            )
    console.print(widths)
    console.print(READING)
    console.print(f"Figures and data: {out}/separation.png, {out}/widths.png (and .svg), {out}/separation.sqlite")


def _error(row: Row) -> str:
    """The mean over seeds with its standard error; "exact" where no sampling entered."""
    note = "exact" if row["exact"] else "sampled"
    if row["exact"] and row["seeds"] == 1:
        return f"{row['error']:.3g} exact"
    return f"{row['error']:.3g} ± {row['stderr']:.1g} {note}"


READING = (
    "How to read this. The bound holds for the best combination of any r fixed features, and for any kernel's n samples, "
    "on average over directions w: no choice of features, kernel or ridge gets below it. Networks and the neuron move "
    "their features and are not subject to it; wide networks on few samples overfit above it, and a small output at the "
    "start helps.\n"
    "What is exponential and what is not: at fixed bias and fixed relative error the width that any features need is "
    "polynomial in d, with a power that grows as the error shrinks (about error^(-2/3)). It is exponential in d at fixed "
    "absolute error once the target's norm grows (here |w| = d^(3/4)). Gradient descent's steps grow slowly at most."
)

"""`rfjax compare DATA`: the views of a network beside the network itself, on the user's own table."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rfjax.commands.progress import cells_bar, compile_quickly

if TYPE_CHECKING:
    from rfjax.experiments.paired import Standing

Row = dict[str, Any]


@dataclass
class Compare:
    """Does a trained network beat its kernels on your data?  Tuned and cross-validated, the same folds for all.

    Compares the trained network, its linearisation, the NTK and NNGP kernels, random features and an RBF kernel.  Writes
    compare.sqlite, compare.png and compare.svg.  Interrupted and started again, it goes on where it was.
    """

    data: Annotated[str, tyro.conf.Positional]
    """A .csv, .parquet or .npz file, or one of digits, diabetes."""
    target: str | None = None
    """The column to predict (the last; of an .npz file y)."""
    drop: tuple[str, ...] = ()
    """Columns to leave out."""
    task: Literal["regression", "classification"] | None = None
    """What the target is (by its values: texts and few whole numbers are classes)."""
    rows: int | None = None
    """At most so many rows, drawn at random."""
    preset: Literal["smoke", "default", "full"] = "default"
    """smoke: some seconds, on 240 rows; default: minutes; full: more settings and folds, wider networks."""
    out: Path | None = None
    """Folder for the store and the figure (results/compare/NAME)."""
    json: bool = False
    """Print one JSON object a line instead of a table: the rows, then the summary."""
    workers: int = 1
    """Processes that compute side by side.  More than one blurs times and memory."""
    views: tuple[str, ...] | None = None
    """Which to compare: network, linearized, ntk, nngp, random_features, rbf."""
    folds: int | None = None
    """Of the cross-validation."""
    seed: int | None = None
    """Of the folds and of everything random."""
    dtype: Literal["float32", "float64"] | None = None
    """Precision of everything (float64)."""
    depths: tuple[int, ...] | None = None
    """Hidden layers to choose from."""
    width: int | None = None
    """Of the networks."""
    features: int | None = None
    """Random features."""
    rates: tuple[float, ...] | None = None
    """Learning rates of Adam to choose from."""
    steps: tuple[int, ...] | None = None
    """Numbers of training steps to choose from."""

    def run(self) -> None:
        """Compare, then print the table (or the JSON lines), the verdict, and where the figure is."""
        if self.preset == "smoke":
            compile_quickly()
        import jax

        jax.config.update("jax_enable_x64", True)
        from rfjax.datasets import Source, read
        from rfjax.experiments import compare
        from rfjax.experiments.paired import standings
        from rfjax.experiments.processes import processes

        own = {"data", "target", "drop", "task", "rows", "preset", "out", "json", "workers"}
        source = Source(self.data, self.target, self.drop, self.task, self.rows, self.seed or 0)
        changes = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in own}
        spec = compare.with_changes(self.preset, source, **changes)
        table = read(spec.source)
        note = f"{table.name}: {len(table.y)} rows, {len(table.columns)} inputs; {table.task}, for {table.why}"
        print(note, file=sys.stderr)
        out = self.out or Path("results/compare") / table.name
        with processes(self.workers) as executor, cells_bar() as report:
            rows = compare.run(spec, out, executor=executor, report=report)
        found, sentence = standings(rows), compare.headline(rows)
        if self.json:
            for row in rows:
                print(json.dumps(row))
            print(json.dumps({"summary": [standing._asdict() for standing in found], "verdict": sentence}))
        else:
            _show(rows, found, compare.LABELS, sentence, out)


def _show(rows: Sequence[Row], found: "Sequence[Standing]", labels: dict[str, str], sentence: str, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from rfjax.plots.compare import MEASURES

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 130)
    constant = sum(row["constant"] for row in rows) / len(rows)
    table = Table(title=f"{rows[0]['data']}: {MEASURES[rows[0]['task']]} (a constant: {constant:.3g})")
    for name in ("", "error", "minus the network's", "s a fold", "fit, s", "memory"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    table.add_column("chosen most often")
    for s in found:
        table.add_row(
            labels[s.view], f"{s.error:.4f} ± {s.stderr:.4f}",
            "" if s.difference is None else f"{s.difference:+.4f} ± {s.difference_stderr:.4f}",
            f"{s.seconds:.3g}", f"{s.fit_seconds:.2g}", "" if s.memory is None else f"{s.memory / 2**20:.0f} MiB",
            _usual(s.chosen),
        )  # fmt: skip
    console.print(table)
    console.print(f"Does the network beat its kernels here? {sentence}", style="bold", highlight=False)
    console.print(
        "± is a standard error over folds, of differences paired fold by fold (Nadeau & Bengio 2003). Seconds: choosing "
        "settings, fitting and predicting, and the last fit alone. Memory: what a fold took at most.",
        style="dim", highlight=False,
    )  # fmt: skip
    console.print(f"Figure and data: {out}/compare.png (and .svg), {out}/compare.sqlite", highlight=False)


def _usual(chosen: list[Any]) -> str:
    texts = [", ".join(f"{name} {_short(value)}" for name, value in c.items() if name != "width") for c in chosen]
    return max(texts, key=texts.count)


def _short(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)

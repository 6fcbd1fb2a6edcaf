"""What every experiment is: settings, cells, figures and tables, behind one verb, `run`."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from matplotlib.figure import Figure

from rfjax import checks
from rfjax.experiments.cells import Cell, Progress, Row, run_cells
from rfjax.plots.rendering import rendered
from rfjax.storage import write_whole


def count(default: Any, text: str, *, least: int = 1) -> Any:
    """A field of a spec, an integer of at least `least` or a tuple of such, with the line that the command's help shows."""
    return _option(default, text, partial(checks.count, least=least))


def number(default: Any, text: str, **bounds: Any) -> Any:
    """A field of a spec, a number within the bounds of `checks.number` or a tuple of such, and its line of help."""
    return _option(default, text, partial(checks.number, **bounds))


def names(default: tuple[str, ...], text: str, known: Iterable[str]) -> Any:
    """A field of a spec, some or none of the known names, and its line of help."""
    return _option(default, text, partial(checks.choice, known=tuple(known)), empty=True)


def _option(default: Any, text: str, check: Callable[[str, Any], Any], *, empty: bool = False) -> Any:
    return dataclasses.field(default=default, metadata={"help": text, "check": check, "empty": empty})


class Settings:
    """The base of every spec, a frozen dataclass of `count`, `number` and `names`; two equal ones are the same experiment.

    **Raises** ValueError or TypeError, naming the field, for values out of their bounds and for empty tuples.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value, check = getattr(self, field.name), field.metadata["check"]
            if isinstance(value, tuple) and not (value or field.metadata["empty"]):
                raise ValueError(f"{field.name} must not be empty")
            for one in value if isinstance(value, tuple) else (value,):
                check(field.name, one)

    def only(self, *chosen: str) -> Row:
        """The values of the fields of these names: what one cell depends on."""
        return {name: getattr(self, name) for name in chosen}


@dataclass(frozen=True)
class Table:
    """What a person reads in a terminal: one list of strings a row; a row of None is a line across."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str] | None]


@dataclass(frozen=True)
class Experiment:
    """One claim, how it is measured, and how it is shown.

    `spec` is a subclass of `Settings`; `presets` has its "smoke", "default" and "full" instances.  `cells(spec)` computes
    rows, `figures(rows, spec)` draws and `tables(rows)` tells them.  `reading` says how to read the tables and what they do
    not say; `columns` are the fields of every row.
    """

    name: str
    spec: type
    presets: Mapping[str, Any]
    cells: Callable[[Any], Iterable[Cell]]
    figures: Callable[[Sequence[Row], Any], Mapping[str, Figure]]
    tables: Callable[[Sequence[Row]], Sequence[Table]]
    reading: str
    columns: tuple[str, ...] = ()

    def run(
        self,
        spec: Any,
        out: Path,
        *,
        workers: int = 1,
        executor: Executor | None = None,
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> list[Row]:
        """Measure what the store in `out` does not hold yet, draw the figures there, and return every row.

        Cells are computed on `executor`, or by `workers` threads: as `rfjax.experiments.cells.run_cells` says.

        **Raises** StorageError when `out` cannot be used, RuntimeError without float64.
        """
        if jnp.result_type(float) != jnp.float64:
            raise RuntimeError("experiments run in float64: jax.config.update('jax_enable_x64', True) first")
        configuration = {"experiment": self.name, **dataclasses.asdict(spec)}
        rows = run_cells(
            self.cells(spec), self.store(out), configuration, workers=workers, executor=executor, report=report
        )
        for name, content in rendered(lambda: self.figures(rows, spec)).items():
            write_whole(out / name, content)
        return rows

    def store(self, out: Path) -> Path:
        """The store in the folder `out`."""
        return out / f"{self.name}.sqlite"

    def settings(self, preset: str, **changes: Any) -> Any:
        """A preset with some settings replaced; None keeps the preset's.  Raises ValueError for an unknown preset."""
        spec = self.presets[checks.choice("preset", preset, self.presets)]
        return dataclasses.replace(spec, **{name: value for name, value in changes.items() if value is not None})

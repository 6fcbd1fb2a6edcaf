"""Where a table comes from: a CSV, Parquet or .npz file, or scikit-learn's digits and diabetes."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rfjax import checks
from rfjax.datasets.files import READERS
from rfjax.datasets.table import TASKS, Table, as_table, take

# Names of tables that come with scikit-learn.
BUILT_IN = ("digits", "diabetes")


@dataclass(frozen=True)
class Source:
    """What to read and how: `data` is a path or one of digits and diabetes, the rest has defaults that fit most files.

    `target` is the name of the column to predict (default: the last; of an .npz file y); `drop` are columns to leave
    out; `task` is "regression", "classification" or None for what the target looks like; `rows` at most so many of the
    rows, drawn with `seed`.
    """

    data: str
    target: str | None = None
    drop: tuple[str, ...] = ()
    task: str | None = None
    rows: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.task is not None:
            checks.choice("task", self.task, TASKS)
        if self.rows is not None:
            checks.count("rows", self.rows)


@lru_cache(maxsize=2)  # cells of one experiment share it
def read(source: Source) -> Table:
    """The table of a source.

    **Raises** ValueError for a file that cannot be read or has no such column (the closest is named), and as `as_table`
    does for what is in it; ImportError, with the line that installs it, for a package that it needs.
    """
    name = source.data if source.data in BUILT_IN else Path(source.data).stem
    columns, target, scale = (
        _built_in(source.data) if source.data in BUILT_IN else (*_file(Path(source.data)), "columns")
    )
    if source.target is not None:
        target = _known("target", source.target, columns)
    for dropped in source.drop:
        if _known("drop", dropped, columns) == target:
            raise ValueError(f"drop must leave the target: {dropped!r} is what is predicted")
    kept = {column: values for column, values in columns.items() if column not in source.drop}
    table = as_table(name, kept, target, source.task, scale)
    return table if source.rows is None else take(table, source.rows, source.seed)


def _file(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The columns of a file, and the target unless another is asked for."""
    reader: Callable[[Path], dict[str, np.ndarray]] | None = READERS.get(path.suffix.lower())
    if reader is None:
        kinds = ", ".join(READERS)
        raise ValueError(f"DATA must be a file ({kinds}) or one of {', '.join(BUILT_IN)}; got {str(path)!r}")
    columns = reader(path)
    if not columns or not len(next(iter(columns.values()))):
        raise ValueError(f"{path} has no rows")
    return columns, "y" if path.suffix.lower() == ".npz" and "y" in columns else list(columns)[-1]


def _known(option: str, name: str, columns: Iterable[str]) -> str:
    """`name`, if it is that of a column.  Raises ValueError that names the closest otherwise."""
    columns = list(columns)
    if name in columns:
        return name
    lower = {column.lower(): column for column in columns}
    close = [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)]
    hint = f": did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(map(repr, columns[:10])) + (f" and {len(columns) - 10} more" if len(columns) > 10 else "")
    raise ValueError(f"{option} must name a column, and there is no {name!r}{hint} There are {listed}")


def _built_in(name: str) -> tuple[dict[str, np.ndarray], str, str]:
    """Columns, target and scale of one of scikit-learn's data sets."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(f"{name} comes with scikit-learn: pip install 'rfjax[sklearn]'") from error
    data: Any = datasets.load_digits() if name == "digits" else datasets.load_diabetes(scaled=False)
    target, scale = ("digit", "all") if name == "digits" else ("progression", "columns")
    return {**dict(zip(data.feature_names, data.data.T, strict=True)), target: data.target}, target, scale

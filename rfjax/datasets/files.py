"""Files as named columns: numbers as floats, truths as they are, anything else as objects with None where it is missing."""

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rfjax.datasets.encoding import is_number

Columns = dict[str, np.ndarray]


def read_csv(path: Path) -> Columns:
    """A table of texts, separated by what separates its first line: a comma, a semicolon or a tab.

    A first line of numbers alone is data; the columns are called 1, 2, ... then.

    **Raises** ValueError for what cannot be read, ImportError without pandas.
    """
    pandas = _pandas(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline()
        separator = max(",;\t", key=first.count)
        bare = all(map(is_number, first.strip().split(separator)))
        frame = pandas.read_csv(
            path, sep=separator, header=None if bare else 0, encoding="utf-8-sig", skipinitialspace=True
        )
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, pandas.errors.ParserError, pandas.errors.EmptyDataError) as error:
        raise ValueError(f"cannot read a table from {path}: {' '.join(str(error).split())}") from error
    if bare:
        frame.columns = range(1, frame.shape[1] + 1)
    if not bare and not isinstance(frame.index, pandas.RangeIndex):
        raise ValueError(f"cannot read a table from {path}: its rows have more entries than its first line has names")
    given = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
    if not bare and len(given) == frame.shape[1]:  # as they are written: pandas makes "a.1" of a second "a"
        frame.columns = [name or made for name, made in zip(given, frame.columns, strict=True)]
    return _columns(path, frame)


def read_parquet(path: Path) -> Columns:
    """A Parquet file.  Raises ValueError for what cannot be read, ImportError without pandas and pyarrow."""
    pandas = _pandas(path)
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(f"reading {path} needs pyarrow: pip install pyarrow") from error
    try:
        frame = pandas.read_parquet(path, engine="pyarrow")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, pyarrow.ArrowException) as error:
        raise ValueError(f"cannot read a table from {path}: {' '.join(str(error).split())}") from error
    return _columns(path, frame)


def read_npz(path: Path) -> Columns:
    """Arrays X [n, d] and others [n], such as y.  Raises ValueError for what cannot be read."""
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"cannot read arrays from {path}: {error}") from error
    found = {name: array for name, array in arrays.items() if name in ("X", "x")}
    if len(found) != 1 or len(arrays) < 2:
        raise ValueError(f"{path} must hold X [n, d] and a target y [n]; it holds {_shapes(arrays)}")
    ((name, X),) = found.items()
    rest = {other: array for other, array in arrays.items() if other != name}
    if X.ndim != 2 or any(array.shape != X.shape[:1] for array in rest.values()):
        raise ValueError(f"{path} must hold X [n, d] and other arrays [n]; it holds {_shapes(arrays)}")
    columns = {f"x{i}": column for i, column in enumerate(X.T)} | rest
    return {name: _values(path, name, column) for name, column in columns.items()}


READERS: dict[str, Callable[[Path], Columns]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
    ".npz": read_npz,
}


def _pandas(path: Path) -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"reading {path} needs pandas: pip install 'rfjax[experiments]'") from error
    return pandas


def _columns(path: Path, frame: Any) -> Columns:
    names = [str(name).strip() for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path} has more than one column {twice[0]!r}")
    columns = {}
    for name, (_, series) in zip(names, frame.items(), strict=True):
        missing = series.isna().to_numpy()
        if series.dtype.kind in "iufb":
            plain = series.dtype.kind == "b" and not missing.any()
            columns[name] = series.to_numpy(bool) if plain else series.to_numpy(np.float64, na_value=np.nan)
        else:
            values = series.to_numpy(object).copy()
            values[missing] = None
            columns[name] = _values(path, name, values)
    return columns


def _values(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    """Floats, truths, or texts as objects; dates and other things are refused."""
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    if values.dtype.kind == "b":
        return values
    if values.dtype.kind in "US":
        return values.astype(str).astype(object)
    other = next((v for v in values.tolist() if v is not None and not isinstance(v, (str, bool, int, float))), None)
    if values.dtype != object or other is not None:
        kind = values.dtype if values.dtype != object else type(other).__name__
        raise ValueError(f"column {name!r} of {path} holds {kind}, neither numbers nor texts: drop or convert it")
    return values


def _shapes(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items()) or "nothing"

"""Columns as numbers: what is missing or no number is named, and a column of texts is one column a value."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

MOST_VALUES = 30  # different texts in a column that is still a category


def encoded(columns: Mapping[str, np.ndarray]) -> dict[str, Float[np.ndarray, " n"]]:
    """Every column as floats.  Texts of at most 30 different values become a column "name=value" each, 1 where it holds.

    A column counts as numbers when at least half of its texts are numbers.

    **Raises** ValueError that names all columns with missing values and their rows; for what is no number, or infinite,
    in a column of numbers; for more than 30 different texts.
    """
    require_complete(columns)
    found: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        if is_text(values):
            texts = labels_of(name, values)
            known = np.unique(texts)
            if len(known) > MOST_VALUES:
                raise ValueError(
                    f"column {name!r} holds {len(known)} different texts, more than the {MOST_VALUES} that become columns "
                    f"of their own: is it a name or a date? leave it out (--drop {name!r}) or make numbers of it"
                )
            found |= {f"{name}={value}": (texts == value).astype(float) for value in known}
        else:
            found[name] = numbers(name, values)
    return found


def require_complete(columns: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError where values are missing, with every such column and its first rows."""
    holes = [
        f"column {name!r} ({rows_of(missing)})"
        for name, values in columns.items()
        if (missing := _missing(values)).any()
    ]
    if holes:
        more = f" and {len(holes) - 5} more columns" if len(holes) > 5 else ""
        raise ValueError(
            f"values are missing in {'; '.join(holes[:5])}{more}: fill them, remove the rows, or leave a column out with "
            "--drop (rows count from 1, without the header)"
        )


def is_text(values: np.ndarray) -> bool:
    """Whether fewer than half of the values are numbers."""
    return values.dtype == object and 2 * int(_numeric(values).sum()) < len(values)


def numbers(name: str, values: np.ndarray) -> Float[np.ndarray, " n"]:
    """A column as finite floats.  Raises ValueError that names what is missing, no number, or infinite, by rows."""
    require_complete({name: values})
    if values.dtype == object:
        wrong = ~_numeric(values)
        if wrong.any():
            example = values[np.flatnonzero(wrong)[0]]
            raise ValueError(
                f"column {name!r} holds {int(wrong.sum())} entries that are no numbers, such as {str(example)!r} "
                f"({rows_of(wrong)}), among {int((~wrong).sum())} that are"
            )
    found = values.astype(np.float64)
    if not np.isfinite(found).all():
        raise ValueError(f"column {name!r} holds infinite values ({rows_of(~np.isfinite(found))})")
    return found


def labels_of(name: str, values: np.ndarray) -> np.ndarray:
    """A column as labels: numbers in their order, anything else as texts.  Raises ValueError for missing values."""
    require_complete({name: values})
    if values.dtype == object:
        return np.array([str(value).strip() for value in values])
    if values.dtype.kind == "f" and (values == np.round(values)).all():
        return values.astype(np.int64)
    return values


def rows_of(wrong: Bool[np.ndarray, " n"]) -> str:
    """The rows where it is true, counted from 1; the first five of them."""
    rows = np.flatnonzero(wrong) + 1
    listed = ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
    return f"row{'s' if len(rows) > 1 else ''} {listed}"


def _missing(values: np.ndarray) -> Bool[np.ndarray, " n"]:
    if values.dtype.kind == "f":
        return np.isnan(values)
    return _each(lambda value: value is None or value != value, values)


def _numeric(values: np.ndarray) -> Bool[np.ndarray, " n"]:
    return _each(is_number, values)


def _each(test: Callable[[Any], bool], values: np.ndarray) -> Bool[np.ndarray, " n"]:
    if values.dtype != object:
        return np.zeros(len(values), bool) if test is not is_number else np.ones(len(values), bool)
    return np.fromiter((bool(test(value)) for value in values), bool, len(values))


def is_number(value: Any) -> bool:
    """Whether float() takes it."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True

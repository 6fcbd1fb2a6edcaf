"""A table of numbers with a target, checked: what is wrong with it is said by row and column."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rfjax import checks
from rfjax.datasets.encoding import encoded, labels_of, numbers

# What a table may be asked for.
TASKS = ("regression", "classification")
_FEW = 20  # different whole numbers in a target that still count as classes


@dataclass(frozen=True, eq=False)
class Table:
    """Inputs X [n, d] with their `columns`, and a target y [n]: values, or for classification the number of the class.

    `classes` are the labels, None for regression; `why` says what decided that; `scale` which inputs share a standard
    deviation: "columns" (each its own) or "all" (pixels).  `fingerprint` is a hash of the numbers.
    """

    name: str
    target: str
    columns: tuple[str, ...]
    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"] | Int[np.ndarray, " n"]
    classes: tuple[str, ...] | None
    why: str
    scale: str = "columns"

    @property
    def task(self) -> str:
        """ "regression" or "classification"."""
        return "regression" if self.classes is None else "classification"

    @property
    def fingerprint(self) -> str:
        """The same for the same numbers, wherever they were read from."""
        digest = hashlib.sha256(f"{self.X.shape} {self.classes}".encode())
        for array in (self.X, self.y):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def as_table(
    name: str, columns: Mapping[str, np.ndarray], target: str, task: str | None = None, scale: str = "columns"
) -> Table:
    """The table of these columns [n], numbers or texts; text columns become one column a value (`encoding`).

    A target of texts or truths is a class, and so is one of at most 20 different whole numbers; any other is regressed
    on, unless `task` says otherwise.

    **Raises** ValueError for missing or infinite values and for texts among numbers (columns and rows are named), too
    many different texts, a constant target, or no inputs.
    """
    values = dict(columns)
    y = values.pop(target)
    inputs = encoded(values)
    if not inputs:
        raise ValueError(f"{name} has no column beside its target {target!r} to predict it from")
    task, why = _task(target, y, task)
    if task == "classification":
        classes, y = _classes(target, y)
    else:
        classes, y = None, numbers(target, y)
        if y.size and (y == y[0]).all():
            raise ValueError(f"the target {target!r} is {y[0]:g} in every row: there is nothing to predict")
    X = np.stack(list(inputs.values()), axis=1)
    return Table(name, target, tuple(inputs), X, y, classes, why, scale)


def take(table: Table, rows: int, seed: int) -> Table:
    """At most `rows` of the rows, drawn at random, in their order."""
    if rows >= len(table.y):
        return table
    chosen = np.sort(np.random.default_rng(seed).choice(len(table.y), rows, replace=False))
    y = table.y[chosen]
    if table.classes is None:
        return Table(table.name, table.target, table.columns, table.X[chosen], y, None, table.why, table.scale)
    left, y = np.unique(y, return_inverse=True)
    classes = tuple(table.classes[code] for code in left)
    return Table(table.name, table.target, table.columns, table.X[chosen], y, classes, table.why, table.scale)


def _task(target: str, y: np.ndarray, asked: str | None) -> tuple[str, str]:
    """Which of the two it is, and why."""
    if asked is not None:
        return checks.choice("task", asked, TASKS), "asked for"
    if y.dtype == object or y.dtype.kind == "b":
        return "classification", f"{target!r} holds {'truths' if y.dtype.kind == 'b' else 'texts'}"
    values = numbers(target, y)
    found = np.unique(values)
    if len(found) <= _FEW and (found == np.round(found)).all():
        return "classification", f"{target!r} holds {len(found)} different whole numbers"
    return "regression", f"{target!r} holds {len(found)} different numbers"


def _classes(target: str, y: np.ndarray) -> tuple[tuple[str, ...], Int[np.ndarray, " n"]]:
    labels = labels_of(target, y)
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"the target {target!r} is {classes[0]} in every row: there is nothing to predict")
    if len(classes) > max(_FEW, len(y) // 4):
        raise ValueError(
            f"the target {target!r} has {len(classes)} different values in {len(y)} rows: too many for classes (is it an "
            "identifier? for numbers say --task regression)"
        )
    rare = [str(label) for label, count in zip(classes, counts, strict=True) if count < 2]
    if rare:
        raise ValueError(f"each class needs at least two rows: {_listed(rare)} of the target {target!r} has one")
    return tuple(map(str, classes)), codes


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

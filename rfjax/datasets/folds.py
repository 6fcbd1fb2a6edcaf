"""Cross-validation: which rows are held out, and inputs that are scaled by the other rows alone."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rfjax import checks
from rfjax.datasets.table import Table

_LEAST = 4  # rows held out in each fold


class Fold(NamedTuple):
    """Rows to fit (X [n, d], Y [n, c]) and rows held out (X_new [m, d], Y_new [m, c]).

    Inputs and a regression's Y [n, 1] have mean 0 and variance 1 over the rows to fit; of classes Y is 1 in the column
    of its own and 0 elsewhere.  `scale` is the share of the target's variance over all rows that a squared error of 1
    here amounts to.
    """

    X: Float[np.ndarray, "n d"]
    Y: Float[np.ndarray, "n c"]
    X_new: Float[np.ndarray, "m d"]
    Y_new: Float[np.ndarray, "m c"]
    scale: float


def folds(table: Table, count: int, seed: int) -> list[Int[np.ndarray, " m"]]:
    """The rows that each of `count` folds holds out: at random, of every class about the same share in each.

    All have the same number of rows, so that at most count − 1 rows are in none.

    **Raises** ValueError where that leaves a fold fewer than four rows.
    """
    checks.count("folds", count, least=2)
    n = len(table.y)
    if n < _LEAST * count:
        raise ValueError(f"{table.name} has {n} rows: {count} folds need at least {_LEAST * count}")
    order = np.random.default_rng(seed).permutation(n)
    if table.classes is not None:
        order = order[np.argsort(table.y[order], kind="stable")]
    dealt = order[: n - n % count] if table.classes is None else _without(order, n % count, seed)
    return [np.sort(dealt[fold::count]) for fold in range(count)]


def _without(order: Int[np.ndarray, " n"], some: int, seed: int) -> Int[np.ndarray, " m"]:
    """All but `some` of them, which are drawn so that no class bears them all."""
    kept = np.ones(len(order), bool)
    kept[np.random.default_rng(seed + 1).choice(len(order), some, replace=False)] = False
    return order[kept]


def split(table: Table, held_out: Int[np.ndarray, " m"], dtype: str) -> Fold:
    """The fold that holds out these rows, in `dtype`."""
    fit = np.ones(len(table.y), bool)
    fit[held_out] = False
    X = table.X[fit]
    centre, spread = X.mean(axis=0), X.std(axis=0)
    varies = spread > 1e-12 * (1 + np.abs(centre))  # a column that is constant here says nothing of what is held out
    unit = np.where(varies, spread, 1) if table.scale == "columns" else np.sqrt(np.mean(spread**2))
    X, X_new = (np.where(varies, (part - centre) / unit, 0) for part in (X, table.X[held_out]))
    if table.classes is None:
        y = table.y[fit]
        deviation = y.std() or 1.0
        Y, Y_new = ((part[:, None] - y.mean()) / deviation for part in (y, table.y[held_out]))
        scale = float((deviation / table.y.std()) ** 2)
    else:
        Y, Y_new = (np.eye(len(table.classes))[table.y[part]] for part in (fit, held_out))
        scale = 1.0
    X, Y, X_new, Y_new = (part.astype(dtype) for part in (X, Y, X_new, Y_new))
    return Fold(X, Y, X_new, Y_new, scale)

"""Regression data that a user has: NAME.npz in a folder, with X_train, y_train, X_test and y_test."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Split(NamedTuple):
    """Rows to fit and rows to test, every column and the target of mean 0 and variance 1 on the rows to fit."""

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    X_test: Float[np.ndarray, "m d"]
    y_test: Float[np.ndarray, " m"]

    def error(self, predicted: Float[np.ndarray, " m"]) -> float:
        """Mean square on the rows to test, relative to that of the mean."""
        return float(np.mean((np.asarray(predicted, np.float64) - self.y_test) ** 2) / np.var(self.y_test))


def load(folder: Path, name: str, rows: int | None = None) -> Split:
    """The data set `name`, its first `rows` rows.  Raises FileNotFoundError where it is not."""
    with np.load(folder / f"{name}.npz") as file:
        X, y, X_test, y_test = (file[key].astype(np.float64) for key in ("X_train", "y_train", "X_test", "y_test"))
    return _standardised(X[:rows], y[:rows], X_test, y_test)


def made_up(rows: int, test: int) -> Split:
    """`target` with noise, over eight Gaussian columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows + test, 8))
    y = target(X) + 0.1 * rng.normal(size=len(X))
    return _standardised(X[:rows], y[:rows], X[rows:], y[rows:])


def target(X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """A smooth part, and a kink times a line."""
    return np.sin(2 * X[:, 0]) + np.maximum(X[:, 1] - X[:, 2], 0) * X[:, 3]


def _standardised(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray) -> Split:
    mean, std = X.mean(axis=0), X.std(axis=0)
    std = np.where(std > 0, std, 1)
    centre, spread = y.mean(), y.std()
    parts = ((X - mean) / std, (y - centre) / spread, (X_test - mean) / std, (y_test - centre) / spread)
    return Split(*(part.astype(np.float32) for part in parts))

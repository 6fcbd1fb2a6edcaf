"""A user's table, from a file to numbers: `read(Source(...))` is a Table, `folds(table, 5)` its parts."""

from rfjax.datasets.folds import Fold, folds, split
from rfjax.datasets.source import BUILT_IN, Source, read
from rfjax.datasets.table import TASKS, Table

__all__ = ["BUILT_IN", "TASKS", "Fold", "Source", "Table", "folds", "read", "split"]

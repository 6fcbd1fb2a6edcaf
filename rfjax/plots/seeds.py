"""Rows of repetitions merged: their mean, and its standard error."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]


def merged(rows: Sequence[Row], by: Callable[[Row], Hashable]) -> list[Row]:
    """A row for every group of rows with equal `by`, in their order: the fields of its first, and of `relative_risk`

    error    the mean
    stderr   its standard error: of sampling (their `stderr`) or of the spread over seeds, whichever is larger
    exact    whether no sampling entered any of them;   seeds   how many there were
    """
    groups: dict[Hashable, list[Row]] = defaultdict(list)
    for row in rows:
        groups[by(row)].append(row)
    return [members[0] | _mean(members) for members in groups.values()]


def _mean(members: Sequence[Row]) -> Row:
    errors = np.array([row["relative_risk"] for row in members])
    sampling = float(np.sqrt(sum(row["stderr"] ** 2 for row in members)) / len(members))
    spread = float(errors.std(ddof=1) / len(members) ** 0.5) if len(members) > 1 else 0.0
    return {
        "error": float(errors.mean()),
        "stderr": max(sampling, spread),
        "exact": sampling == 0.0,
        "seeds": len(members),
    }

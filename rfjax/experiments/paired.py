"""Which contender is better, by how much and how surely: errors compared fold by fold."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Row = dict[str, Any]
NETWORK = "network"
_SURE = 2.0  # standard errors that a difference must exceed


class Standing(NamedTuple):
    """One contender over all folds: error ± standard error, and its difference from the network's, paired by fold.

    `seconds` is the median over folds of choosing, fitting and predicting together, `fit_seconds` of the last fit with
    its predictions; `memory` in bytes the most in any fold (None where unknown).  `chosen` are the settings of each fold.
    """

    view: str
    error: float
    stderr: float
    difference: float | None
    difference_stderr: float | None
    seconds: float
    fit_seconds: float
    memory: int | None
    chosen: list[Mapping[str, Any]]


def standings(rows: Sequence[Row]) -> list[Standing]:
    """The contenders, best first.

        stderr² = s²·(1/K + 1/(K − 1))

    s² is the variance over the K folds; the second term is there because any two of them share most of the rows they are
    fitted to, and a ratio of rows held out to rows fitted of 1/(K − 1).  Nadeau & Bengio 2003, *Inference for the
    generalization error*.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["fold"]):
        groups[row["view"]].append(row)
    network = groups.get(NETWORK)
    found = []
    for view, members in groups.items():
        errors = np.array([row["error"] for row in members])
        paired: tuple[float | None, float | None] = (None, None)
        if network is not None and view != NETWORK:
            difference = errors - np.array([row["error"] for row in network])
            paired = float(difference.mean()), _stderr(difference)
        memory = [row["memory"] for row in members if row["memory"] is not None]
        found.append(
            Standing(
                view, float(errors.mean()), _stderr(errors), *paired,
                seconds=float(np.median([row["seconds"] for row in members])),
                fit_seconds=float(np.median([row["fit_seconds"] for row in members])),
                memory=max(memory, default=None), chosen=[row["chosen"] for row in members],
            )
        )  # fmt: skip
    return sorted(found, key=lambda standing: standing.error)


def _stderr(values: np.ndarray) -> float:
    folds = len(values)
    return float(values.std(ddof=1) * (1 / folds + 1 / (folds - 1)) ** 0.5)


def verdict(found: Sequence[Standing], labels: Mapping[str, str]) -> str:
    """One sentence: does the network beat its kernels here?  Only differences of more than two standard errors count."""
    others = [standing for standing in found if standing.difference is not None]
    if not others:
        return "Does the network beat its kernels here?  It takes the network and one of them to say."
    best = others[0]
    gap = f"{abs(best.difference or 0):.2g} ± {best.difference_stderr:.1g}"
    name = labels[best.view]
    if all(_sure(standing) and (standing.difference or 0) > 0 for standing in others):
        return f"Yes: the network beats every kernel here; the best of them, the {name}, errs by {gap} more."
    if any(_sure(standing) and (standing.difference or 0) < 0 for standing in others):
        winners = [labels[s.view] for s in others if _sure(s) and (s.difference or 0) < 0]
        also = (
            f" (so {'do' if len(winners) > 2 else 'does'} the {', the '.join(winners[1:])})" if len(winners) > 1 else ""
        )
        first = next(s for s in others if labels[s.view] == winners[0])
        gap = f"{abs(first.difference or 0):.2g} ± {first.difference_stderr:.1g}"
        return f"No: the {winners[0]} beats the network here, by {gap} in error{also}."
    way = "less" if (best.difference or 0) < 0 else "more"
    return (
        f"Not to be told apart: the best kernel, the {name}, errs by {gap} {way} than the network, "
        "within two standard errors; a kernel does as well here."
    )


def _sure(standing: Standing) -> bool:
    return abs(standing.difference or 0) > _SURE * (standing.difference_stderr or 0)

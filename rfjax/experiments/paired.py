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
        return "It takes the network and one of them to say."
    best, better, worse = others[0], *([s for s in others if _sure(s, sign)] for sign in (-1, 1))
    if better:
        also = f" (and {_named(better[1:], labels)} too)" if better[1:] else ""
        return f"No: the {labels[better[0].view]} errs by {_gap(better[0])} less than the network here{also}."
    if len(worse) == len(others):
        return (
            f"Yes: the network beats every kernel here; the best, the {labels[best.view]}, errs by {_gap(best)} more."
        )
    way = "less" if (best.difference or 0) < 0 else "more"
    return (
        f"Not clearly: the {labels[best.view]}, the best of the kernels, errs by {_gap(best)} {way} than the network here, "
        "within two standard errors."
    )


def _sure(standing: Standing, sign: int) -> bool:
    return sign * (standing.difference or 0) > _SURE * (standing.difference_stderr or 0)


def _gap(standing: Standing) -> str:
    return f"{abs(standing.difference or 0):.2g} ± {standing.difference_stderr:.2g}"


def _named(some: Sequence[Standing], labels: Mapping[str, str]) -> str:
    return ", ".join(f"the {labels[standing.view]}" for standing in some)

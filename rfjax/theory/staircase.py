"""Sums over values that repeat more often than a float can count: the first r of them, the rest, and the inverse."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rfjax import checks

_COUNTABLE = 2.0**53  # up to here a float tells an integer from the next
_ROUNDING = 1e-14  # of a sum, relative


class Counts(NamedTuple):
    """Numbers r >= 0 as floats (inf past float64) and as logarithms, which go on."""

    value: Float[np.ndarray, "..."]
    log: Float[np.ndarray, "..."]


def parse_counts(name: str, given: Any) -> Counts:
    """Numbers as the user gives them: a scalar, an array or a list, integers past float64 included.

    **Raises** TypeError unless they are real numbers, ValueError when one is negative, NaN or infinite.
    """
    array = np.asarray(given)
    if array.dtype == object:  # Python integers that no fixed-size dtype holds, or no numbers at all
        for item in array.ravel():
            if isinstance(item, bool) or not isinstance(item, int):
                raise TypeError(f"{name} must be real numbers, got {item!r}")
            if item < 0:
                raise ValueError(f"{name} must be a finite number >= 0.0, got {item}")
        logs = [math.log(item) if item else -math.inf for item in array.ravel()]
        log = np.asarray(logs, dtype=np.float64).reshape(array.shape)
        with np.errstate(over="ignore"):
            return Counts(np.exp(log), log)
    if array.size and not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise TypeError(f"{name} must be real numbers, got {given!r}")
    value = array.astype(np.float64)
    for item in value[~(np.isfinite(value) & (value >= 0))].ravel()[:1]:
        checks.number(name, float(item), least=0.0)
    with np.errstate(divide="ignore"):
        return Counts(value, np.log(value))


class Landing(NamedTuple):
    """One number of values r: as a float (inf past float64), as a logarithm, and the label of the step it ends in."""

    value: float
    log: float
    label: int


class Staircase:
    """Steps s of descending height v_s, N_s values each.  `mass` is v_s N_s; N_s comes with its logarithm."""

    def __init__(
        self,
        label: Int[np.ndarray, " s"],
        mass: Float[np.ndarray, " s"],
        count: Float[np.ndarray, " s"],
        log_count: Float[np.ndarray, " s"],
    ):
        self._label, self._mass, self._count, self._log_count = label, mass, count, log_count
        with np.errstate(over="ignore"):
            self._end = np.concatenate([[0.0], np.cumsum(count)])
            self._sum = np.concatenate([[0.0], np.cumsum(mass)])
        self._log_end = np.concatenate([[-np.inf], np.logaddexp.accumulate(log_count)])
        self._rest = np.append(np.cumsum(mass[::-1])[::-1], 0.0)

    def first(self, r: Counts) -> Float[np.ndarray, "..."]:
        """The sum of the r largest values, linear in between; inf past the last step."""
        step, part, inside = self._locate(r)
        return np.where(inside, self._sum[step] + part * self._mass[step], np.inf)

    def rest(self, r: Counts) -> Float[np.ndarray, "..."]:
        """The sum of all values but the r largest; small ones keep their digits."""
        step, part, inside = self._locate(r)
        return np.where(inside, self._rest[step + 1] + (1 - part) * self._mass[step], 0.0)

    def least(self, rest: float) -> Landing:
        """The least whole r whose `rest` is at most this: 0 when everything is, and no r (inf) for a negative one.

        Rounding counts in favour of r: one that reaches `rest` to the last digits of the whole sum does reach it.
        """
        if rest < 0:
            return Landing(math.inf, math.inf, -1)
        rest += _ROUNDING * float(self._rest[0])
        if self._rest[0] <= rest:
            return Landing(0.0, -math.inf, 0)
        step = int(np.argmax(self._rest[1:] <= rest))
        part = min(float((self._rest[step] - rest) / self._mass[step]), 1.0)
        start, count, label = float(self._end[step]), float(self._count[step]), int(self._label[step])
        r = start + part * count
        if r < _COUNTABLE:
            r = max(float(math.ceil(r - min(0.5, _ROUNDING * r))), start + 1.0)
        if r < math.inf:
            return Landing(r, math.log(r), label)
        return Landing(r, float(np.logaddexp(self._log_end[step], math.log(part) + self._log_count[step])), label)

    def _locate(self, r: Counts) -> tuple[Any, Any, Any]:
        """The step in which r lies, the part of that step before it, and whether there is such a step."""
        found = np.searchsorted(self._log_end[1:], r.log)
        inside = found < len(self._label)
        step = np.minimum(found, len(self._label) - 1)
        start, count = self._end[step], self._count[step]
        log_start, log_count = self._log_end[step], self._log_count[step]
        with np.errstate(invalid="ignore", over="ignore"):
            part = np.where(
                np.isfinite(r.value) & np.isfinite(count),
                (r.value - start) / count,
                np.exp(r.log - log_count) - np.exp(log_start - log_count),
            )
        # Steps too short to be seen beside r and their start (∞ − ∞) are passed in full.
        return step, np.clip(np.where(np.isnan(part), 1.0, part), 0.0, 1.0), inside

"""The contenders of a comparison: each chooses its settings by the rows to fit alone, is fitted, and predicts."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import rfjax as rf
from rfjax.datasets import Fold
from rfjax.experiments.descent import describe, histories
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel

Predict = Callable[[Float[Array, "m d"]], Float[Array, "m c"]]
_DIRECT = 20_000  # rows to which a fit is exact
_BLOCK = 2**14  # rows whose features or kernel values are held at once


class Settings(Protocol):
    """What the contenders need of a spec; `rfjax.experiments.compare.Spec` says what each is."""

    depths: tuple[int, ...]
    biases: tuple[float, ...]
    lengths: tuple[float, ...]
    ridges: tuple[float, ...]
    rates: tuple[float, ...]
    steps: tuple[int, ...]
    width: int
    features: int
    batch: int
    rounds: int
    exact: int
    centres: int


class Prediction(NamedTuple):
    """What is predicted for the rows held out [m, c], with which settings, and the seconds of that last fit."""

    values: Float[np.ndarray, "m c"]
    chosen: dict[str, Any]
    seconds: float


class Candidate(NamedTuple):
    """A model to be fitted by ridge regression, and its settings."""

    model: Kernel | FeatureMap
    settings: dict[str, Any]


Candidates = Callable[[Any, Fold, Array], Iterator[Candidate]]


@dataclass(frozen=True)
class Contender:
    """Its name for people, how it predicts, and which settings it depends on."""

    label: str
    predict: Callable[[Any, Fold, bool, Array], Prediction]
    uses: tuple[str, ...] = field(default=())


def errors(
    values: Float[np.ndarray, "... m c"], Y: Float[np.ndarray, "m c"], classes: bool
) -> Float[np.ndarray, "..."]:
    """The share of rows whose largest output is not their class, or the mean squared error; inf for NaN."""
    values = np.asarray(values)
    found = (values.argmax(-1) != Y.argmax(-1)).mean(-1) if classes else ((values - Y) ** 2).mean((-2, -1))
    return np.where(np.isfinite(values).all((-2, -1)), found, np.inf)


def _ridge(candidates: Candidates, spec: Settings, fold: Fold, classes: bool, key: Array) -> Prediction:
    """Ridge regression, its kernel and ridge chosen by leave-one-out errors.

    Beyond `exact` rows those are of a random part of them; a ridge is a variance of noise, which does not grow with n.
    """
    draw, fit_key = jax.random.split(key)
    few = np.sort(jax.random.choice(draw, len(fold.X), (min(spec.exact, len(fold.X)),), replace=False))
    mean = fold.Y.mean(axis=0)
    best: tuple[Any, ...] = ((np.inf, np.inf), None, None)
    for candidate in candidates(spec, fold, key):
        scores, ridges = _left_out(candidate.model, fold.X[few], fold.Y[few], mean, spec.ridges, classes)
        at = min(range(len(scores)), key=scores.__getitem__)
        if scores[at] < best[0]:
            best = scores[at], candidate, float(ridges[at])
    if best[1] is None:
        raise ValueError("no setting gives a finite leave-one-out error: ridges must be larger")
    _, candidate, ridge = best
    begin = time.perf_counter()
    fit = _fit(candidate.model, fold.X, fold.Y - mean, ridge, spec, fit_key)
    values = np.concatenate([fit(jnp.asarray(part)) for part in _blocks(fold.X_new)]) + mean
    return Prediction(values, {**candidate.settings, "ridge": ridge}, time.perf_counter() - begin)


def _left_out(
    model: Kernel | FeatureMap, X: Any, Y: Any, mean: Any, ridges: tuple[float, ...], classes: bool
) -> tuple[list[tuple[float, float]], Float[np.ndarray, " r"]]:
    """For every ridge the leave-one-out error and, where shares of classes tie, the squared one; and the ridges."""
    X = jnp.asarray(X)
    size = jnp.trace(model(X)) / len(X) if isinstance(model, Kernel) else (model(X) ** 2).sum(axis=1).mean()
    grid = size * jnp.asarray(ridges, X.dtype)
    path = rf.ridge_path(model, X, jnp.asarray(Y - mean), grid, throw=False)
    found = errors(np.asarray(path.loo_predictions) + mean, Y, classes)
    return list(zip(found.tolist(), np.asarray(path.loo).mean(axis=1).tolist(), strict=True)), np.asarray(grid)


def _fit(model: Kernel | FeatureMap, X: Any, Y: Any, ridge: float, spec: Settings, key: Array) -> Predict:
    """The fit to all rows: exact, or for many of them and a kernel through centres."""
    if isinstance(model, Kernel) and len(X) > _DIRECT:
        solver = rf.solvers.Nystrom(centres=spec.centres, tolerance=1e-4, key=key)
        return rf.ridge_regression(model, X, jnp.asarray(Y), ridge=ridge, solver=solver)
    return rf.ridge_regression(model, X, jnp.asarray(Y), ridge=ridge)


def _blocks(rows: Float[np.ndarray, "n d"]) -> Iterator[Float[np.ndarray, "b d"]]:
    """The rows, not too many at a time."""
    return (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))


def _infinite(view: Callable[..., Kernel], spec: Settings, fold: Fold, key: Array) -> Iterator[Candidate]:
    for depth in spec.depths:
        for bias in spec.biases:
            net = rf.mlp(depth=depth, width=1, b_std=bias)
            yield Candidate(view(net), {"depth": depth, "b_std": bias})


def _rbf(spec: Settings, fold: Fold, key: Array) -> Iterator[Candidate]:
    for length in spec.lengths:
        scaled = length * float(np.sqrt(fold.X.var(axis=0).sum()))
        yield Candidate(rf.rbf(scaled), {"length_scale": scaled})


def _frozen(spec: Settings, fold: Fold, key: Array) -> Iterator[Candidate]:
    for depth in spec.depths:
        for bias in spec.biases:
            net = rf.mlp(depth=depth, width=spec.features, b_std=bias)
            phi = rf.random_features(net, fold.X.shape[1], key=key)
            yield Candidate(phi, {"depth": depth, "b_std": bias, "width": spec.features})


def _tangent(spec: Settings, fold: Fold, key: Array) -> Iterator[Candidate]:
    """Ridge regression with the empirical NTK: the network linearised at its start, trained from the zero function."""
    for depth in spec.depths:
        for bias in spec.biases:
            net = rf.mlp(depth=depth, width=spec.width, b_std=bias)
            params = net.init(key, fold.X.shape[1])
            yield Candidate(rf.empirical_ntk(net, params), {"depth": depth, "b_std": bias, "width": spec.width})


def _network(spec: Settings, fold: Fold, classes: bool, key: Array) -> Prediction:
    """Adam from the zero function; depth, learning rate and steps chosen on rows set aside from those to fit.

    Those are a quarter of them, `rounds` times anew, and `exact` at most; then it is trained on all.
    """
    n = len(fold.X)
    aside = min(n // 4, spec.exact)
    order = np.asarray(jax.random.permutation(key, n))
    best: tuple[Any, ...] = (np.inf, None)
    for depth in spec.depths:
        for rate in spec.rates:
            scores = np.zeros(len(spec.steps))
            for turn in range(spec.rounds):
                new = order[turn * aside : (turn + 1) * aside]
                fit = np.setdiff1d(order, new)
                parts = fold.X[fit], fold.Y[fit], fold.X[new]
                scores += errors(histories(spec, depth, rate, *parts, classes, key), fold.Y[new], classes)
            at = int(scores.argmin())
            if scores[at] < best[0]:
                best = scores[at], (depth, rate, at)
    if best[1] is None:
        raise ValueError("training diverged at every learning rate: rates must be smaller")
    depth, rate, at = best[1]
    begin = time.perf_counter()
    values = histories(spec, depth, rate, fold.X, fold.Y, fold.X_new, classes, key)[at]
    return Prediction(values, describe(spec, depth, rate, at), time.perf_counter() - begin)


_RIDGE, _DEEP = ("ridges", "exact", "centres"), ("depths", "biases")
CONTENDERS = {
    "network": Contender(
        "trained network", _network, ("depths", "rates", "steps", "width", "batch", "rounds", "exact")
    ),
    "linearized": Contender("linearised network", partial(_ridge, _tangent), (*_RIDGE, *_DEEP, "width")),
    "ntk": Contender("NTK kernel", partial(_ridge, partial(_infinite, rf.ntk)), (*_RIDGE, *_DEEP)),
    "nngp": Contender("NNGP kernel", partial(_ridge, partial(_infinite, rf.nngp)), (*_RIDGE, *_DEEP)),
    "random_features": Contender("random features", partial(_ridge, _frozen), (*_RIDGE, *_DEEP, "features")),
    "rbf": Contender("RBF kernel", partial(_ridge, _rbf), (*_RIDGE, "lengths")),
}

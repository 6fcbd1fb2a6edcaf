"""Classification with a kernel or a feature map: by least squares on ±1, or by the logistic loss."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.regression.gram import as_points
from rfjax.regression.logistic import logistic_regression, probabilities
from rfjax.regression.ridge import ridge_regression

LOSSES = ("squares", "logistic")
Label = str | int | float | bool


class ConstantFunction(eqx.Module):
    """The function of one value everywhere."""

    value: Float[Array, "..."]

    def __call__(self, X: Float[Array, "n d"]) -> Float[Array, "n ..."]:
        """`value`, once a row of X."""
        return jnp.broadcast_to(self.value, (X.shape[0], *self.value.shape))


class Classifier(eqx.Module):
    """A function from points to labels; made by `rf.classify`.

    `scores` is the fit behind it, `classes` are the labels, sorted.  All methods raise TypeError or ValueError for bad
    data.
    """

    scores: Callable[[Float[Array, "n d"]], Float[Array, "n ..."]]
    classes: tuple[Label, ...] = eqx.field(static=True)
    loss: str = eqx.field(static=True)

    @property
    def stats(self) -> Any:
        """How the fit behind it was made."""
        return self.scores.stats  # type: ignore[attr-defined]

    def __call__(self, X: Float[Array, "m d"]) -> np.ndarray:
        """The label of every row of X, as a NumPy array [m].

        **Raises** TypeError under tracing, for labels may be words: `codes` is what compiles.
        """
        codes = self.codes(X)
        if checks.is_traced(codes):
            raise TypeError("labels are no JAX arrays: under jit or vmap use fit.codes(X), which indexes fit.classes")
        return np.asarray(self.classes)[np.asarray(codes)]

    def codes(self, X: Float[Array, "m d"]) -> Int[Array, " m"]:
        """Which of `classes` the rows of X are of: the one of the largest score; for two classes, by its sign."""
        scores = self.decision(X)
        return (scores > 0).astype(jnp.int32) if scores.ndim == 1 else jnp.argmax(scores, axis=1).astype(jnp.int32)

    def decision(self, X: Float[Array, "m d"]) -> Float[Array, "m ..."]:
        """Scores: [m, c], one a class; for two classes [m], > 0 for the second."""
        return self.scores(X)

    def probabilities(self, X: Float[Array, "m d"]) -> Float[Array, "m c"]:
        """The probability of each class.  Raises ValueError unless loss="logistic": squares give none."""
        if self.loss != "logistic":
            raise ValueError(f"probabilities need loss='logistic', and this was fitted with loss={self.loss!r}")
        return probabilities(self.decision(X))


def classify(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    labels: Any,
    *,
    ridge: Float[Array, ""] | float,
    loss: str = "squares",
    **settings: Any,
) -> Classifier:
    """Fit labels [n] on X [n, d] with a kernel or a feature map; `fit(X_test)` are labels, `fit.decision(X_test)` scores.

        squares:  ½ Σ_i |f(x_i) − t_i|² + ½ ridge·‖f − t̄‖²,   t_i = 1 for its own class and −1 for others, t̄ their mean
        logistic: −Σ_i log p_i + ½ ridge·‖f‖²,   p_i = 1/(1 + e^{∓f(x_i)}), or softmax of f(x_i) at its own class

    ‖·‖ is the norm of the kernel's Hilbert space, that of the coefficients for features.  Two classes share one function
    f, c > 2 have one each.  "squares" is `rf.ridge_regression` with its `settings` (solver=, say), one against the rest:
    Rifkin & Klautau 2004.  "logistic" is minimised by Newton's method to a gradient of `tolerance` times that at f = 0
    (default √eps), within `iterations`: Rasmussen & Williams 2006, §3.4–3.5; it costs an eigendecomposition, gives
    `fit.probabilities(X_test)` and has no intercept (add one: `k + 1.0`).

    `labels` are integers, words, booleans or finite numbers; they must be known when compiled.  The fit jits and vmaps
    over X; with "logistic" it has no reverse-mode derivative.  **Raises** TypeError or ValueError for bad data or
    settings, for fewer than two classes, and as `rf.ridge_regression` does; with "logistic", for ridge = 0 and where
    Newton's method does not converge.
    """
    checks.choice("loss", loss, LOSSES)
    X = as_points(model, X)
    classes, codes = _coded(labels, X.shape[0])
    member = codes[:, None] == np.arange(len(classes))
    if len(classes) == 2:
        member = member[:, 1]
    if loss == "logistic":
        scores: Any = logistic_regression(model, X, jnp.asarray(member, X.dtype), ridge=ridge, **settings)
    else:
        t = jnp.asarray(np.where(member, 1, -1), X.dtype)
        scores = ridge_regression(model, X, t, ridge=ridge, start=ConstantFunction(t.mean(axis=0)), **settings)
    return Classifier(scores, classes, loss)


def _coded(labels: Any, rows: int) -> tuple[tuple[Label, ...], Int[np.ndarray, " n"]]:
    """The classes, sorted, and for every label the number of its class."""
    if checks.is_traced(labels):
        raise TypeError("labels must be known when compiled: their classes decide the shapes of the fit")
    try:
        array = np.asarray(labels)
    except ValueError as error:  # ragged
        raise TypeError(f"labels must have shape [n], got a ragged {type(labels).__name__}") from error
    if array.shape != (rows,):
        raise ValueError(f"labels must have shape [n], one a data point: got {list(array.shape)} for {rows} points")
    kind = array.dtype.kind
    words = kind in "OUT" and all(isinstance(label, str) for label in labels)  # NumPy makes words of mixed lists
    if words:
        array = array.astype(str)
    if not words and kind not in "biuf":
        raise TypeError(f"labels must be integers, words, booleans or numbers, got {_types(labels)}")
    if kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"labels must be finite, got {int((~np.isfinite(array)).sum())} NaN or inf among {rows}")
    classes, codes = np.unique(array, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"labels must be of at least two classes, got only {classes.tolist()[0]!r}")
    return tuple(classes.tolist()), codes


def _types(labels: Any) -> str:
    return ", ".join(sorted({type(label).__name__ for label in labels}))

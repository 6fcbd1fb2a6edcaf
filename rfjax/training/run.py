"""What training returns: a model to call, and what was recorded on the way."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int

from rfjax import checks
from rfjax.features import Neurons, network_neurons
from rfjax.networks import Function, Layer, Params, as_function, outputs_2d
from rfjax.risk import readout
from rfjax.training.axes import Axes, over
from rfjax.training.history import History


class Run(eqx.Module):
    """A trained model: `run.params`, `run.history`, `run.steps` taken, and `run(X)` to predict.

    `diverged` tells whether the loss became NaN or infinite: training stopped there, `diverged_at` is the first step at
    which it was (−1 where it never was), and `params` are the last good ones recorded.  `start` are the parameters that
    training began with.  With several runs everything has their leading axes, `run.axes`: seeds, then each of the settings.
    """

    net: Layer | Function
    params: Params
    start: Params
    history: History
    steps: Int[Array, "..."]
    diverged_at: Int[Array, "..."]
    columns: int = eqx.field(static=True)
    trailing: tuple[int, ...] = eqx.field(static=True)

    @property
    def diverged(self) -> Bool[Array, "..."]:
        """Whether the loss became NaN or infinite."""
        return self.diverged_at >= 0

    @property
    def axes(self) -> Axes:
        """The leading axes: their names, and the values along each."""
        return self.history.axes

    def __call__(self, X: Float[Array, "m d"]) -> Float[Array, "..."]:
        """Predictions with y's trailing shape, [m] or [m, c], after the leading axes: with seeds [s, m] or [s, m, c]."""
        return _predict(self, checks.points("X", X, columns=self.columns))


@eqx.filter_jit
def _predict(run: Run, X: Float[Array, "m d"]) -> Float[Array, "..."]:
    function = as_function(run.net)

    def one(params: Params) -> Float[Array, "m ..."]:
        return checks.outputs("net", outputs_2d(function, params, X), like=(X.shape[0], *run.trailing))

    return over(len(run.axes.shape), one)(run.params)


@readout.register
def _(predictor: Run) -> tuple[Neurons, Float[Array, "... p"]] | None:
    if not isinstance(predictor.net, Layer) or predictor.trailing not in ((), (1,)):
        return None
    count = len(predictor.axes.shape)
    first = jax.tree.map(lambda leaf: leaf[(0,) * count], predictor.params)
    if network_neurons(predictor.net, first) is None:
        return None

    def neurons(params: Params) -> Any:
        return network_neurons(predictor.net, params)

    return over(count, neurons)(predictor.params)

"""What training returns: a model to call, and what was recorded on the way."""

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int

from rfjax import checks
from rfjax.features import Neurons, network_neurons
from rfjax.networks import Function, Layer, Params, as_function, outputs_2d
from rfjax.risk import readout


class History(eqx.Module):
    """What was recorded while training, at `steps` [T]; with seeds every other array is [s, T].

    `loss` is the objective (½·mean square by default: over all samples, on a fresh batch for a stream, exact for
    exact=True); `risk` the exact population risk E(f − g)² where it exists, otherwise None; `metrics` those passed in.
    A seed that stopped early has NaN from there on.
    """

    steps: Int[Array, " T"]
    loss: Float[Array, "..."]
    risk: Float[Array, "..."] | None
    metrics: dict[str, Float[Array, "..."]]


class Run(eqx.Module):
    """A trained model: `run.params`, `run.history`, `run.steps` taken, and `run(X)` to predict.

    `diverged` tells whether the loss became NaN or infinite: training stopped there, and `params` are the last good ones
    recorded.  With seeds everything has a leading axis s.
    """

    net: Layer | Function
    params: Params
    history: History
    steps: Int[Array, "..."]
    diverged: Bool[Array, "..."]
    columns: int = eqx.field(static=True)
    trailing: tuple[int, ...] = eqx.field(static=True)
    seeds: bool = eqx.field(static=True)

    def __call__(self, X: Float[Array, "m d"]) -> Float[Array, "..."]:
        """Predictions with y's trailing shape, [m] or [m, c]; with seeds [s, m] or [s, m, c]."""
        return _predict(self, checks.points("X", X, columns=self.columns))


@eqx.filter_jit
def _predict(run: Run, X: Float[Array, "m d"]) -> Float[Array, "..."]:
    function = as_function(run.net)

    def one(params: Params) -> Float[Array, "m ..."]:
        return checks.outputs("net", outputs_2d(function, params, X), like=(X.shape[0], *run.trailing))

    return jax.vmap(one)(run.params) if run.seeds else one(run.params)


@readout.register
def _(predictor: Run) -> tuple[Neurons, Float[Array, "... p"]] | None:
    if not isinstance(predictor.net, Layer) or predictor.trailing not in ((), (1,)):
        return None
    if not predictor.seeds:
        return network_neurons(predictor.net, predictor.params)
    first = jax.tree.map(lambda leaf: leaf[0], predictor.params)
    if network_neurons(predictor.net, first) is None:
        return None
    return eqx.filter_vmap(lambda params: network_neurons(predictor.net, params))(predictor.params)

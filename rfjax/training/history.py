"""What was recorded while training."""

from typing import TYPE_CHECKING

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from rfjax.training.axes import Axes

if TYPE_CHECKING:
    import pandas as pd


class History(eqx.Module):
    """What was recorded while training, at `steps` [T]; with several runs every other array is [*axes, T].

    `loss` is the objective (½·mean square by default: over all samples, on a fresh batch for a stream, exact for
    exact=True); `risk` the exact population risk E(f − g)² where it exists, otherwise None; `validation` the loss on the
    validation data, None without; `metrics` those passed in ([*axes, ..., T] for one that is an array).  A run that stopped
    early has NaN from there on.
    """

    steps: Int[Array, " T"]
    loss: Float[Array, "... T"]
    risk: Float[Array, "... T"] | None
    validation: Float[Array, "... T"] | None
    metrics: dict[str, Float[Array, "... T"]]
    axes: Axes

    def table(self) -> "pd.DataFrame":
        """One line a run and record: the axes' values, step, loss, risk, validation and metrics, where there are any.

        A metric that is an array has a column an entry: name[0], name[1], …  Lines after a run's end are left out.

        **Raises** ImportError, with the line that installs it, without pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("history.table() needs pandas: pip install 'rfjax[experiments]'") from error
        steps, shape = np.asarray(self.steps), self.axes.shape
        where = np.indices((*shape, len(steps))).reshape(len(shape) + 1, -1)
        known = {
            name: np.asarray(values)[place]
            for name, values, place in zip(self.axes.names, self.axes.values, where, strict=False)
        }
        measured: dict[str, np.ndarray] = {}
        for name, values in {
            "loss": self.loss, "risk": self.risk, "validation": self.validation, **self.metrics
        }.items():  # fmt: skip
            if values is not None:
                measured |= _columns(name, np.asarray(values), len(shape))
        table = pd.DataFrame(known | {"step": steps[where[-1]]} | measured)
        return table.dropna(subset=list(measured), how="all").reset_index(drop=True)


def _columns(name: str, values: np.ndarray, axes: int) -> dict[str, np.ndarray]:
    """Records [*axes, ..., T] as columns: one for each entry of a metric that is an array."""
    inner = values.shape[axes:-1]
    if not inner:
        return {name: values.ravel()}
    at = (slice(None),) * axes
    return {
        f"{name}[{', '.join(map(str, index))}]": values[(*at, *index, slice(None))].ravel()
        for index in np.ndindex(*inner)
    }

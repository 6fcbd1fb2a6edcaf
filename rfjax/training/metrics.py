"""What may be measured on the way: any function of the parameters, or a diagnostic that knows where the run began."""

import abc
from collections.abc import Callable
from typing import final

import equinox as eqx
from jaxtyping import Array, Float

from rfjax.networks import Params
from rfjax.training.axes import over
from rfjax.training.run import Run


class Diagnostic(eqx.Module):
    """A measurement of parameters beside those that training started from; `rfjax.diagnostics` has them.

        rf.train(..., metrics={"drift": diagnostic})    in the compiled loop, at every record
        diagnostic(params, start)                       of any two
        diagnostic.of(run)                              of a finished run, for each of its runs

    A subclass gives `_measure`, which jits and vmaps.
    """

    @abc.abstractmethod
    def _measure(self, params: Params, start: Params) -> Float[Array, "..."]:
        """The value for one network."""

    @final
    def __call__(self, params: Params, start: Params) -> Float[Array, "..."]:
        """The value at `params` for a network that started at `start`."""
        return self._measure(params, start)

    @final
    def of(self, run: Run) -> Float[Array, "..."]:
        """The value at the end of a run; with several runs it has their leading axes."""
        return _of(self, run)


@eqx.filter_jit
def _of(diagnostic: Diagnostic, run: Run) -> Float[Array, "..."]:
    return over(len(run.axes.shape), diagnostic._measure)(run.params, run.start)


Metric = Callable[[Params], Float[Array, "..."]] | Diagnostic

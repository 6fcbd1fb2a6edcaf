"""A model of another library as a network of this one: `params`, `init` and `apply`."""

import math
from collections.abc import Callable

from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.networks import Params


class Model:
    """What `rf.train`, `rf.empirical_ntk`, `rf.tangent_features`, `rf.linearize` and `rf.monte_carlo_kernel` take.

        rf.empirical_ntk(model, model.params);   rf.train(model, (X, y), params=model.params, ...)

    Data are rows [n, d], and a row is what the other library sees as one input of `shape`, by default [d].  Equal only
    to itself: made once and used often, it compiles once.
    """

    def __init__(
        self,
        params: Params,
        function: Callable[[Params, Array], Array],
        draw: Callable[[PRNGKeyArray], Params] | None,
        shape: tuple[int, ...] | None,
    ):
        self.params = params
        self.shape = None if shape is None else tuple(checks.count("shape", size) for size in shape)
        self._function, self._draw = function, draw

    def init(self, key: PRNGKeyArray, in_dim: int | None = None) -> Params:
        """Parameters drawn anew.  Raises ValueError for a model that was given ready-made, or for an in_dim that is not
        the size of its inputs."""
        if self._draw is None:
            raise ValueError(
                "this model was given ready-made, so that it cannot be drawn anew: pass params=model.params, or adapt "
                "the function that makes it from a key"
            )
        if self.shape is not None and in_dim is not None and in_dim != math.prod(self.shape):
            raise ValueError(
                f"in_dim must be {math.prod(self.shape)}, the size of inputs {list(self.shape)}, got {in_dim}"
            )
        return self._draw(checks.prng_key("key", key))

    def apply(self, params: Params, X: Float[Array, "n d"]) -> Float[Array, "n ..."]:
        """The outputs at the rows of X.  Raises ValueError for rows that are not of the inputs' size."""
        if self.shape is None:
            return self._function(params, X)
        if X.ndim != 2 or X.shape[1] != math.prod(self.shape):
            raise ValueError(
                f"X must have {math.prod(self.shape)} columns for inputs {list(self.shape)}, got {list(X.shape)}"
            )
        return self._function(params, X.reshape(-1, *self.shape))

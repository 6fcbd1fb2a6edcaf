"""Feature maps, and the kernel of a feature map."""

import abc
from typing import TYPE_CHECKING, final

import equinox as eqx
import jax
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.kernels import Kernel, Pairs, Ring, Tiling
from rfjax.numerics import matmul

if TYPE_CHECKING:
    from rfjax.features.neurons import Neurons


class FeatureMap(eqx.Module):
    """φ: [n, d] → [n, p], with frozen randomness as its leaves.  A subclass gives `_features` and `in_dim`."""

    @abc.abstractmethod
    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        """φ(x_i)."""

    def _product(self, X: Float[Array, "n d"], c: Float[Array, "p ..."]) -> Float[Array, "n ..."]:
        """φ(X) c, for maps that need not form φ(X) for it."""
        return matmul(self._features(X), c)

    @property
    @abc.abstractmethod
    def in_dim(self) -> int | None:
        """The number d of input columns, where the map knows it."""

    @property
    def neurons(self) -> "Neurons | None":
        """The map as one layer of neurons, where it is one: the form whose population moments are known."""
        return None

    @final
    def __call__(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        """The features of the rows of X.  Raises TypeError or ValueError for bad data."""
        return _evaluate(self, checks.points("X", X, columns=self.in_dim))

    @property
    @final
    def kernel(self) -> "FeatureKernel":
        """k(x, y) = φ(x)·φ(y)."""
        return FeatureKernel(self)


@jax.jit
def _evaluate(phi: FeatureMap, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
    return phi._features(X)


class FeatureKernel(Kernel):
    """k(x, y) = φ(x)·φ(y) for a feature map φ."""

    features: FeatureMap

    def _evaluate(self, pairs: Pairs) -> Float[Array, "..."]:
        return pairs.inner(self.features._features)

    @property
    def tiled(self) -> bool:
        return False

    def _product(
        self, X: Float[Array, "n d"], Y: Float[Array, "m d"] | None, V: Float[Array, "m c"], layout: Tiling | Ring
    ) -> Float[Array, "n c"]:
        left = self.features._features(X)
        return matmul(left, matmul((left if Y is None else self.features._features(Y)).T, V))

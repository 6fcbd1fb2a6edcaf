"""TensorSketch: products of feature maps, and so polynomial kernels, without the columns of a tensor product."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rfjax import checks
from rfjax.features.base import FeatureMap
from rfjax.kernels import Kernel, Polynomial


class CountSketch(eqx.Module):
    """S: column j of F goes to column `places[j]` with sign `signs[j]`, so that E ⟨Sf, Sg⟩ = ⟨f, g⟩."""

    places: Int[Array, " q"]
    signs: Float[Array, " q"]
    features: int = eqx.field(static=True)

    @classmethod
    def draw(cls, key: PRNGKeyArray, columns: int, features: int) -> "CountSketch":
        """A sketch of `columns` columns into `features`."""
        place, sign = jax.random.split(key)
        places = jax.random.randint(place, (columns,), 0, features)
        return cls(places, jax.random.rademacher(sign, (columns,), float), features)

    def __call__(self, F: Float[Array, "n q"]) -> Float[Array, "n p"]:
        """S applied to the rows of F."""
        empty = jnp.zeros((F.shape[0], self.features), F.dtype)
        return empty.at[:, self.places].add(F * self.signs.astype(F.dtype))


def convolved(parts: list[Float[Array, "n p"]]) -> Float[Array, "n p"]:
    """The circular convolution of rows: of count sketches of f and g a count sketch of f⊗g."""
    product = jnp.fft.rfft(parts[0], axis=1)
    for part in parts[1:]:
        product = product * jnp.fft.rfft(part, axis=1)
    return jnp.fft.irfft(product, parts[0].shape[1], axis=1)


class TensorSketch(FeatureMap):
    """φ(x) = S₁z ∗ … ∗ S_q z with z = (√scale·x, √offset).  Prefer `rf.features.tensor_sketch`."""

    approximates: Polynomial
    sketches: tuple[CountSketch, ...]
    columns: int = eqx.field(static=True)

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        kernel = self.approximates
        scale, offset = (jnp.sqrt(jnp.asarray(value, X.dtype)) for value in (kernel.scale, kernel.offset))
        z = jnp.concatenate([scale * X, jnp.broadcast_to(offset, (X.shape[0], 1))], axis=1)
        return convolved([sketch(z) for sketch in self.sketches])

    @property
    def in_dim(self) -> int:
        return self.columns


class ProductFeatures(FeatureMap):
    """φ(x) = S₁f(x) ∗ S₂g(x): E φ(x)·φ(y) = (f(x)·f(y))·(g(x)·g(y)) over the sketches."""

    approximates: Kernel
    maps: tuple[FeatureMap, FeatureMap]
    sketches: tuple[CountSketch, CountSketch]

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        return convolved([sketch(phi._features(X)) for sketch, phi in zip(self.sketches, self.maps, strict=True)])

    @property
    def in_dim(self) -> int | None:
        return self.maps[0].in_dim


def tensor_sketch(kernel: Polynomial, in_dim: int, features: int, *, key: PRNGKeyArray) -> TensorSketch:
    """`features` columns for (scale·⟨x, y⟩ + offset)^degree, at degree·(d + p·log p) operations a row.

    Unbiased; the variance of an entry is at most (3^degree − 1)·k(x, x)k(y, y)/p.  Nothing of the size d^degree is formed,
    and no weights are stored but degree·(d+1) places and signs.  Pham & Pagh 2013; Avron, Nguyen & Woodruff 2014.

    **Raises** TypeError for another kernel; ValueError or TypeError for sizes below 1 or a bad key.
    """
    if not isinstance(kernel, Polynomial):
        raise TypeError(f"tensor_sketch is for rf.polynomial, got {type(kernel).__name__}")
    in_dim, features = checks.count("in_dim", in_dim), checks.count("features", features)
    keys = jax.random.split(checks.prng_key("key", key), kernel.degree)
    return TensorSketch(kernel, tuple(CountSketch.draw(k, in_dim + 1, features) for k in keys), in_dim)

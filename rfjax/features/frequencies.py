"""Frequencies W [r, d] of a feature map, and the one thing done with them: X Wᵀ, by a fast transform where there is one."""

import abc
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax.features import draws
from rfjax.features.hadamard import hadamard_transform
from rfjax.features.spectra import Mixing
from rfjax.numerics import gram, matmul

_FEW = 32  # columns up to which no transform is faster than a product, and signs alone give too few directions
_HAAR = 128  # columns up to which a dense rotation costs little beside the transforms


class Frequencies(eqx.Module):
    """r frequencies in d columns.  A subclass gives `count` and `project`."""

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """r, how many there are."""

    @abc.abstractmethod
    def project(self, X: Float[Array, "n d"]) -> Float[Array, "n r"]:
        """X Wᵀ."""

    def ready(self) -> "Frequencies":
        """The same, with the work done that all rows of X share."""
        return self


class Dense(Frequencies):
    """Frequencies as a matrix W [r, d]."""

    W: Float[Array, "r d"]

    @property
    def count(self) -> int:
        return self.W.shape[0]

    def project(self, X: Float[Array, "n d"]) -> Float[Array, "n r"]:
        return gram(X, self.W.astype(X.dtype))


class Structured(Frequencies):
    """W = lengths·H D_b R: Hadamard matrices H [m, m] with signs D_b, a block b each, after a rotation R that all share.

    m is the power of two that holds d columns.  Up to 128 columns R is the part [m, d] of a uniform random rotation: then
    every row has exactly the law of an iid one.  Beyond, R = H D' H D'', and directions are uniform up to O(1/d).  A block
    costs m·log m or so instead of m·d, and its rows are at right angles (where d = m).

    Yu et al. 2016, *Orthogonal random features*: HD products; here two of the three are shared.
    """

    signs: Float[Array, "blocks m"]
    lengths: Float[Array, " r"]
    rotation: Float[Array, "d m"] | None
    shared: Float[Array, "2 m"] | None

    @property
    def count(self) -> int:
        return self.lengths.shape[0]

    def project(self, X: Float[Array, "n d"]) -> Float[Array, "n r"]:
        n, m = X.shape[0], self.signs.shape[1]
        if self.rotation is None:
            Z = jnp.pad(X, ((0, 0), (0, m - X.shape[1])))
            assert self.shared is not None
            for signs in self.shared.astype(X.dtype):
                Z = hadamard_transform(Z * signs)
        else:
            Z = matmul(X, self.rotation.astype(X.dtype))
        Z = hadamard_transform(Z[:, None, :] * self.signs.astype(X.dtype))
        return Z.reshape(n, -1)[:, : self.count] * self.lengths.astype(X.dtype)


class Regenerated(Frequencies):
    """Frequencies that are drawn from their key in every call: no memory between calls."""

    key: PRNGKeyArray
    mixing: Mixing
    draw: str = eqx.field(static=True)
    rows: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)

    @property
    def count(self) -> int:
        return self.rows

    def project(self, X: Float[Array, "n d"]) -> Float[Array, "n r"]:
        return self.ready().project(X)

    def ready(self) -> Frequencies:
        return drawn(self.draw, self.key, self.rows, self.columns, self.mixing)


def drawn(draw: str, key: PRNGKeyArray, count: int, columns: int, mixing: Mixing) -> Frequencies:
    """Frequencies that are made from a key alone: "iid", "orthogonal" or "structured".

    Structured ones of up to 32 columns are orthogonal ones: there no transform is faster.
    """
    if draw == "iid":
        return Dense(draws.iid(key, count, columns, mixing))
    if draw == "orthogonal" or columns <= _FEW:
        return Dense(draws.orthogonal(key, count, columns, mixing))
    return _structured(key, count, columns, mixing)


@partial(jax.jit, static_argnames=("count", "columns"))
def _structured(key: PRNGKeyArray, count: int, columns: int, mixing: Mixing) -> Structured:
    """The last block is cut where `count` is no multiple of m."""
    rotation, shared, sign, length, width = jax.random.split(key, 5)
    m = 1 << (columns - 1).bit_length()
    signs = jax.random.rademacher(sign, (-(-count // m), m), float)
    lengths, widths = jnp.sqrt(2 * jax.random.gamma(length, m / 2, (count,))), mixing.draw(width, count)  # of χ_m
    lengths = lengths if widths is None else lengths * widths
    if columns <= _HAAR:
        return Structured(signs, lengths, draws.haar(rotation, 1, m)[0, :columns], None)
    return Structured(signs, lengths, None, jax.random.rademacher(shared, (2, m), float))

"""Smooth functions: one way to a covariance that keeps its digits where u and v nearly agree or are opposite."""

import abc
from collections.abc import Callable
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity
from rfjax.numerics import Covariance, safe_divide, safe_sqrt


class Smooth(Nonlinearity):
    """A function without kinks or jumps, given by E σ² and by how far its dual falls short of √(E σ(u)² E σ(v)²).

        left' = E σ(u)²,  right' = E σ(v)²,  below' = √(left' right') − E σ(u)σ(v)
        above' = below' of (u, −v)     for an odd σ
        above' = 2√(left' right') − below'     otherwise; an even σ sees (u, −v) as (u, v)

    A subclass gives `_square`, `_below` and `parity` besides what every nonlinearity gives.
    """

    @abc.abstractmethod
    def _square(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        """E σ(√q·z)²."""

    @abc.abstractmethod
    def _below(self, pair: Covariance) -> Float[Array, "..."]:
        """√(E σ(u)² E σ(v)²) − E σ(u)σ(v), 0 for u = v and never negative."""

    @property
    @abc.abstractmethod
    def parity(self) -> int:
        """1 for an even σ, −1 for an odd one, 0 for any other."""

    @final
    def _propagate(self, pair: Covariance) -> Covariance:
        left, right = self._square(pair.left), self._square(pair.right)
        if self.parity == -1:
            return Covariance(left, right, self._below(pair), self._below(_opposite(pair)))
        if self.parity == 1:
            low, high = jnp.minimum(pair.below, pair.above), jnp.maximum(pair.below, pair.above)
            pair = Covariance(pair.left, pair.right, low, high)
        geometric = safe_sqrt(left) * safe_sqrt(right)
        below = self._below(pair)
        return Covariance(left, right, below, nonnegative(2 * geometric - below))

    @property
    def relu_slopes(self) -> tuple[float, float] | None:
        return None

    @property
    def centres(self) -> tuple[float, ...]:
        return (0.0,)

    @property
    def homogeneity(self) -> int | None:
        return None


def _opposite(pair: Covariance) -> Covariance:
    """The covariance of (u, −v)."""
    return Covariance(pair.left, pair.right, pair.above, pair.below)


def nonnegative(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """max(x, 0) for what is negative by rounding alone: at 0 its derivative is 1."""
    return jnp.where(x < 0, 0, x)


@jax.custom_jvp
def quotient(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    """a / b, and 0 where b = 0; its derivative (da − (a/b)db)/b does not square a small b, which might underflow."""
    return safe_divide(a, b)


@quotient.defjvp
def _quotient_jvp(primals, tangents):
    (a, b), (da, db) = primals, tangents
    ratio = quotient(a, b)
    return ratio, safe_divide(da - ratio * db, b)


def root_difference(pair: Covariance) -> Float[Array, "..."]:
    """√left − √right to full relative precision."""
    return quotient(pair.left - pair.right, safe_sqrt(pair.left) + safe_sqrt(pair.right))


def difference_near_diagonal(
    pair: Covariance,
    square: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    slope: Callable[[Covariance], Float[Array, "..."]],
    cross: Float[Array, "..."],
    scale: Float[Array, "..."],
) -> Float[Array, "..."]:
    """√(κ11 κ22) − κ12 for the dual κ = `cross` of a σ with E σ² = `square` and dual of the derivative `slope`.

    The plain difference, except where below and (√q11 − √q22)² are both under √eps·scale, where it would cancel.
    There, with κ̇ = slope, H(q) = κ̇ of u = v with variance q, and k = square:

        E σ(√q11 z)σ(√q22 z) − κ12 = ∫ κ̇ dq12 ≈ below·(2κ̇ + √(H(q11)H(q22)))/3     exact for κ̇ = H − const·√below
        √(κ11 κ22) − E σ(√q11 z)σ(√q22 z) ≈ (√q11 − √q22)²·√(f(q11)f(q22))
        f(q) = ½(E z²σ'(√q z)² − (d√k/d√q)²) = ½(H + 2qH' − qk'²/k)

    by Price's theorem and Taylor's, to a relative √eps.
    """
    # One vector of both sides: the program is half as long, and so is its compilation.
    rows = _row(square, slope, jnp.concatenate([pair.left.ravel(), pair.right.ravel()]))
    left, right = (
        v.reshape(*s.shape, 3) for v, s in zip(jnp.split(rows, [pair.left.size]), (pair.left, pair.right), strict=True)
    )
    root_k, root_h, root_f = jnp.moveaxis(left * right, -1, 0)
    apart = root_difference(pair) ** 2
    plain = root_k - cross
    turned = pair.below * (2 * slope(pair) + root_h) / 3
    limit = jnp.finfo(cross.dtype).eps ** 0.5 * scale
    near = (pair.below < limit) & (apart < limit)
    return nonnegative(jnp.where(near, turned + apart * root_f, plain))


def _row(
    square: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    slope: Callable[[Covariance], Float[Array, "..."]],
    q: Float[Array, " n"],
) -> Float[Array, "n 3"]:
    """√k(q), √H(q) and √f(q) of `difference_near_diagonal`."""
    ones = jnp.ones_like(q)
    k, dk = jax.jvp(square, (q,), (ones,))
    h, dh = jax.jvp(lambda v: slope(Covariance.of_equal(v)), (q,), (ones,))
    f = (h + 2 * q * dh - quotient(q * dk, k) * dk) / 2
    return safe_sqrt(jnp.stack([k, h, f], axis=-1))

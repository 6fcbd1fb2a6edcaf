"""Covariances of pairs (u, v), kept in variables that do not cancel where u and v nearly agree or are opposite."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rfjax.numerics.safe import angle, safe_divide, safe_sqrt


class Covariance(eqx.Module):
    """Second moments of centred pairs (u, v), for a whole matrix of pairs or for a vector of them.

        left = E u²,  right = E v²                      (broadcast against each other: [n, 1] and [1, m], or [n])
        below = √(E u² E v²) − E uv  =  √(E u² E v²)·(1 − cos θ)
        above = √(E u² E v²) + E uv  =  √(E u² E v²)·(1 + cos θ)

    `cross` = E uv follows as (above − below)/2.  An angle of 1e-6 cannot be read from E uv in float32; it can from
    `below`, which is why every step that makes a new covariance makes `below` and `above` by sums of positive terms.
    """

    left: Float[Array, "..."]
    right: Float[Array, "..."]
    below: Float[Array, "..."]
    above: Float[Array, "..."]

    @classmethod
    def from_moments(cls, q11: Float[Array, "..."], q12: Float[Array, "..."], q22: Float[Array, "..."]) -> "Covariance":
        """From plain second moments; what q12 has lost to rounding near ±√(q11 q22) stays lost."""
        geometric = safe_sqrt(q11) * safe_sqrt(q22)
        return cls(q11, q22, jnp.maximum(geometric - q12, 0), jnp.maximum(geometric + q12, 0))

    @classmethod
    def of_equal(cls, q: Float[Array, "..."]) -> "Covariance":
        """The covariance of u with itself: no angle at all."""
        return cls(q, q, jnp.zeros_like(q), 2 * q)

    @property
    def cross(self) -> Float[Array, "..."]:
        """E uv."""
        return (self.above - self.below) / 2

    @property
    def geometric(self) -> Float[Array, "..."]:
        """√(E u² E v²)."""
        return (self.above + self.below) / 2

    @property
    def angle(self) -> Float[Array, "..."]:
        """θ in [0, π] with cos θ the correlation of u and v."""
        return angle(self.below, self.above)

    @property
    def correlation(self) -> Float[Array, "..."]:
        """cos θ, within [−1, 1] by construction; 0 where u or v vanishes."""
        return safe_divide(self.above - self.below, self.above + self.below)

    def affine(self, scale: Float[Array, ""] | float, shift: Float[Array, ""] | float) -> "Covariance":
        """The covariance of scale·u + shift·ε, scale·v + shift·ε with one shared ε ~ N(0, 1).

        a = √left, b = √right, a' = √(scale²a² + shift²), b' likewise;  t = scale² ab + shift²
        below' = (scale·shift·(a − b))²/(a'b' + t) + scale²·below        (Lagrange's identity for a'b' − t)
        above' = a'b' − t + 2·shift² + scale²·above
        """
        s2, b2 = scale**2, shift**2
        left, right = s2 * self.left + b2, s2 * self.right + b2
        a, b = safe_sqrt(self.left), safe_sqrt(self.right)
        spread = safe_divide(s2 * b2 * (a - b) ** 2, safe_sqrt(left) * safe_sqrt(right) + s2 * a * b + b2)
        return Covariance(left, right, spread + s2 * self.below, spread + 2 * b2 + s2 * self.above)

    def __add__(self, other: "Covariance") -> "Covariance":
        """The covariance of (u + u', v + v') for independent centred pairs (u, v) and (u', v').

        l, r for self, l', r' for other;  G = √((l + l')(r + r')),  g = √(l r) + √(l' r')
        G − g = (√(l r') − √(l' r))²/(G + g)                             (Lagrange's identity)
        below = G − g + below + below',   above = G − g + above + above'
        """
        left, right = self.left + other.left, self.right + other.right
        (a, b), (c, d) = ((safe_sqrt(pair.left), safe_sqrt(pair.right)) for pair in (self, other))
        spread = safe_divide((a * d - c * b) ** 2, safe_sqrt(left) * safe_sqrt(right) + a * b + c * d)
        return Covariance(left, right, spread + self.below + other.below, spread + self.above + other.above)

    def normalize(self, eps: Float[Array, ""] | float = 0.0) -> "Covariance":
        """The covariance of u/√(E u² + eps), v/√(E v² + eps); 0 where both terms of a root are."""
        a, b = safe_sqrt(self.left + eps), safe_sqrt(self.right + eps)
        left, right = safe_divide(self.left, self.left + eps), safe_divide(self.right, self.right + eps)
        return Covariance(left, right, *(safe_divide(safe_divide(v, a), b) for v in (self.below, self.above)))

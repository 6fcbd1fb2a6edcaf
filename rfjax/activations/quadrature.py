"""Any function at all: duals by Gauss–Legendre quadrature of its Hermite coefficients, row by row."""

from collections.abc import Callable
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity, graded_breaks, host_values
from rfjax.numerics import Covariance, gaussian_quadrature, hermite_functions, matmul, safe_divide, safe_sqrt

_NOISE = 10.0  # a remainder below this many units of rounding is rounding


class Quadrature(Nonlinearity):
    """σ given as a function that JAX can trace, its dual as a Hermite series in the correlation c.

        a_k(s) = E σ(s·z) h_k(z)            by quadrature, once a row:  s = √q11 and √q22
        κ = Σ_{k<=terms} a_k(√q11) a_k(√q22) c^k  +  even and odd remainders, carried by the next two powers of c

    so that κ is exact where u = ±v and its error elsewhere is below the remainder times |c|^terms.  Functions that
    are smooth on the scale of the data reach 1e-12; a kink at 0 leaves about terms^{−3/2}/50 near c = ±1 of E σ², a
    jump terms^{−1/2}/5.  The derivative dual is the same series of σ', found by differentiating σ.

    `breaks` are the points where σ has a kink or a jump.  Functions that grow faster than e^{x²/(4 q11)} are out of
    its reach.
    """

    function: Callable[[Float[Array, "..."]], Float[Array, "..."]] = eqx.field(static=True)
    breaks: tuple[float, ...] = eqx.field(static=True, default=(0.0,))
    terms: int = eqx.field(static=True, default=128)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.function(x)

    def _slope(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.jvp(self.function, (x,), (jnp.ones_like(x),))[1]

    def _rows(
        self, function: Callable[[Float[Array, "..."]], Float[Array, "..."]], q: Float[Array, "..."]
    ) -> tuple[Float[Array, "terms+3 ..."], Float[Array, "..."]]:
        """For every entry of q: coefficients 0…terms and the roots of the two remainders; and E σ²."""
        z, weights, basis = lax.optimization_barrier(
            tuple(jnp.asarray(v, q.dtype) for v in _host(self.breaks, self.terms))
        )
        values = function(safe_sqrt(q)[..., None] * z)
        coefficients = jnp.moveaxis(matmul(values, basis), -1, 0)
        square = matmul(values**2, weights)
        # The remainders of even and odd degree go with the two powers of c that come next, so that c = ±1 is exact.
        remainders = []
        for degree in (self.terms + 1, self.terms + 2):
            part = (values + (-1) ** degree * function(-safe_sqrt(q)[..., None] * z)) / 2
            rest = matmul(part**2, weights) - jnp.sum(coefficients[degree % 2 :: 2] ** 2, axis=0)
            remainders.append(safe_sqrt(jnp.where(rest > _NOISE * jnp.finfo(q.dtype).eps * square, rest, 0)))
        return jnp.concatenate([coefficients, jnp.stack(remainders)]), square

    def _propagate(self, pair: Covariance) -> Covariance:
        one, left = self._rows(self.function, pair.left)
        two, right = self._rows(self.function, pair.right)
        c, closeness = pair.correlation, safe_divide(2 * pair.below, pair.below + pair.above)

        def term(carry, ab):
            # Σ (a−b)² and Σ ab(1−c^k) are sums of small terms near c = 1, where √(κ11 κ22) − Σ ab c^k would cancel.
            apart, turned, power, rest = carry
            a, b = ab
            return (apart + (a - b) ** 2, turned + a * b * rest, power * c, rest + power * closeness), None

        zero = jnp.zeros(jnp.broadcast_shapes(left.shape, right.shape), c.dtype)
        start = (zero, zero, jnp.ones_like(zero), zero)
        (apart, turned, _, _), _ = lax.scan(term, start, (one, two), unroll=4)
        a, b = safe_sqrt(left), safe_sqrt(right)
        below = jnp.clip((apart - (a - b) ** 2) / 2 + turned, 0, 2 * a * b)
        return Covariance(left, right, below, 2 * a * b - below)

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        one, _ = self._rows(self._slope, pair.left)
        two, _ = self._rows(self._slope, pair.right)
        c = pair.correlation
        total = jnp.zeros(jnp.broadcast_shapes(pair.left.shape, pair.right.shape), c.dtype)
        total, _ = lax.scan(
            lambda carry, ab: (carry * c + ab[0] * ab[1], None), total, (one[::-1], two[::-1]), unroll=4
        )
        return total

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        z, _, basis = _host(graded_breaks(self.breaks, scale, shift), degree)
        return host_values(self.function, scale * z + shift) @ basis

    @property
    def homogeneity(self) -> None:
        return None

    @property
    def centres(self) -> tuple[float, ...]:
        return self.breaks

    @property
    def relu_slopes(self) -> None:
        return None


@lru_cache(maxsize=8)
def _host(
    breaks: tuple[float, ...], degree: int
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"], Float[np.ndarray, "q k"]]:
    """Quadrature nodes, weights, and weights times h_k(node) for k = 0…degree."""
    z, weights = gaussian_quadrature(breaks=breaks, order=24 + int(degree**0.5))
    root = np.exp(-(z**2) / 4) / np.sqrt(2 * np.pi)
    lebesgue = weights / (np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return z, weights, (hermite_functions(degree, z) * (lebesgue * root)).T

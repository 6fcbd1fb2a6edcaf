"""Depth for free where norms differ: the kernel as one fitted function of two norms and an angle.

A homogeneous network leaves a kernel of the angle alone (`Curve`).  Any other kernel of an
infinitely wide network is k(x, y) = √(k(x, x)k(y, y))·ρ(‖x‖, ‖y‖, θ), whose ρ is analytic: a few polynomials in the
logarithms of the norms, each times a polynomial of the angle, replace all layers.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from rfjax.kernels.curve import FEW, Function, angle_nodes, at_angles, in_powers, of_angle, polynomial
from rfjax.numerics import matmul

HIGHEST = lax.Precision.HIGHEST
RANKS = (1, 4, 8, 16)  # polynomials in the logarithm of a norm: in float32 8 for norms whose ratio is 2, 16 for 10
_RANK = RANKS[-1]
_TOLERANCE = {"float32": 5e-6, "float64": 1e-11}  # of √(k(x, x)k(y, y)), at points that the fit has not seen
_NEGLIGIBLE = 1 / 8  # of the tolerance: coefficients beyond those that matter
_NARROW = 16  # units of rounding: the least interval of logarithms of norms
_WIDE = 1e3  # a ratio of norms beyond what any rank resolves
_LARGE = 2.0**50


class Surface(eqx.Module):
    """√k(x, x)·√k(y, y)·Σ_r T_r(x)·f_r(y, θ): Chebyshev polynomials T_r in log ‖x‖ and log ‖y‖, powers of u in θ.

    `rank` is the index of the one of `RANKS` that is enough.  It is made for values: derivatives are those of the layers.
    """

    centre: Float[Array, ""]
    half: Float[Array, ""]
    root: Float[Array, " r"]
    terms: Float[Array, "r r 2 terms"]
    rank: Int[Array, ""]

    @classmethod
    def fit(
        cls,
        function: Function,
        smallest: Float[Array, ""],
        largest: Float[Array, ""],
        terms: int,
    ) -> tuple["Surface", Bool[Array, ""]]:
        """Interpolate `function`, a kernel, for √(E u²) between `smallest` and `largest`.

        With it, whether it agrees with `function` at all norms and angles where it was not fitted as well.
        """
        valid = (smallest * _WIDE > largest) & (largest < _LARGE) & (smallest > 1 / _LARGE)
        low, high = (jnp.log(jnp.where(valid, v, 1)) for v in (smallest, largest))
        centre, half = (low + high) / 2, jnp.maximum((high - low) / 2, _NARROW * jnp.finfo(low.dtype).eps)
        t, to_series = angle_nodes(terms)
        v, transform = _norm_nodes(_RANK)
        # Beside the nodes: where the fit is to be checked, and θ = 0.
        t = np.concatenate([t, (t[1:] + t[:-1])[:: terms // 4] / 2, [np.sqrt(0.5), 0.0]])
        v = np.concatenate([v, [-1.0, 1.0], (v[1:] + v[:-1])[:: _RANK // 4] / 2])
        norms = jnp.exp(centre + half * jnp.asarray(v, centre.dtype))
        square, beyond = norms**2, np.array([False, True])[:, None]
        values = function(at_angles(square[:, None, None, None], square[None, :, None, None], t, beyond))
        own = jnp.diagonal(values[:, :, 0, -1])
        valid &= own.min() > 0
        own = jnp.sqrt(jnp.where(valid, own, 1))
        values = values / (own[:, None, None, None] * own[:, None, None])

        q = partial(jnp.asarray, dtype=values.dtype)
        to_norms, nodes = q(transform), values[:_RANK, :_RANK, :, :terms]
        core = jnp.einsum("abst,ar,bq,tk->rqsk", nodes, to_norms, to_norms, q(to_series), precision=HIGHEST)
        tolerance = _TOLERANCE.get(str(values.dtype), 1e-5)
        matters = jnp.sqrt(jnp.sum(core**2, axis=(1, 2, 3))) > _NEGLIGIBLE * tolerance
        rank = jnp.sum(jnp.array([matters[rank:].any() for rank in RANKS]), dtype=jnp.int32)
        core = matmul(core, q(in_powers(terms))) if terms <= FEW else core
        surface = cls(centre, half, matmul(jnp.log(own[:_RANK]), to_norms), core, rank)

        def error(t: Float[Array, ""], beyond: Bool[Array, ""], layers: Float[Array, "v v"]) -> Float[Array, ""]:
            found = surface(norms[:, None], norms, jnp.full(layers.shape, 2 * t**2), jnp.full(layers.shape, beyond))
            return jnp.abs(found / (own[:, None] * own) - layers).max()

        worst = jax.vmap(jax.vmap(error, (0, None, 2)), (None, 0, 2))(q(t), jnp.asarray(beyond[:, 0]), values)
        return surface, valid & (worst.max() <= tolerance)

    def __call__(
        self, a: Float[Array, "n 1"], b: Float[Array, "1 m"], smaller: Float[Array, "n m"], beyond: Bool[Array, "n m"]
    ) -> Float[Array, "n m"]:
        """The kernel from √(E u²), √(E v²), 1 − |cos θ| and whether θ is beyond π/2."""
        left, right = self._polynomials(a.ravel()), self._polynomials(b.ravel())
        parts = jnp.einsum("rqsk,qm->rskm", self.terms, right, precision=HIGHEST)
        u = of_angle(smaller)

        def add(total: Float[Array, "n m"], part: tuple[Array, Array]) -> tuple[Float[Array, "n m"], None]:
            # Two arrays: of more terms read from one, the loop is not vectorised.
            factor, (near, far) = part
            near, far = lax.optimization_barrier((near, far))
            return total + factor[:, None] * polynomial(near, far, u, beyond), None

        def first(rank: int) -> Float[Array, "n m"]:
            return lax.scan(add, jnp.zeros_like(u), (left[:rank], parts[:rank]))[0]

        total = lax.switch(self.rank, [partial(first, rank) for rank in RANKS])
        return total * jnp.exp(matmul(self.root, left))[:, None] * jnp.exp(matmul(self.root, right))

    def _polynomials(self, norm: Float[Array, " n"]) -> Float[Array, "r n"]:
        v = jnp.clip((jnp.log(norm) - self.centre) / self.half, -1, 1)  # beyond is rounding
        found = [jnp.ones_like(v), v]
        while len(found) < _RANK:
            found.append(2 * v * found[-1] - found[-2])
        return jnp.stack(found)


def _norm_nodes(rank: int) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "r r"]]:
    """Chebyshev nodes in (−1, 1), and the matrix from values there to coefficients."""
    angles, k = np.pi * (np.arange(rank) + 0.5) / rank, np.arange(rank)
    transform = 2 / rank * np.cos(angles[:, None] * k)
    transform[:, 0] /= 2
    return np.cos(angles), transform

"""Any function at all: duals by Gauss–Legendre quadrature of its Hermite coefficients, row by row."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity, differentiated, graded_breaks, host_values
from rfjax.activations.kinks import Kinks, kinks_of
from rfjax.numerics import Covariance, gaussian_quadrature, hermite_functions, matmul, safe_divide, safe_sqrt

_NOISE = 10.0  # a remainder below this many units of rounding is rounding

Function = Callable[[Float[Array, "..."]], Float[Array, "..."]]


class Quadrature(Nonlinearity):
    """σ given as a function that JAX can trace, its dual as a Hermite series in the correlation c.

        a_k(s) = E σ(s·z) h_k(z)            by quadrature, once a row:  s = √q11 and √q22
        κ = Σ_{k<=terms} a_k(√q11) a_k(√q22) c^k  +  even and odd remainders, carried by the next two powers of c

    so that κ is exact where u = ±v.  Where derivatives of σ jump at 0, the slow tail of the series is that of powers of
    z₊, whose duals are known: it is taken out of every term, and added in closed form (`Kinks`).  The derivative dual is
    the same series of σ'.

    The error, in units of E σ² and of E σ'², near c = ±1 (elsewhere 1e-10), measured: of κ for tanh, sigmoid, silu,
    softplus and mish 1e-9 up to √q = 2 and 5e-6 at √q = 4, and for elu and selu, whose higher derivatives jump, 1e-9 up to
    √q = 1, 2e-8 at 2 and 3e-7 at 4.  Of the derivative dual 1e-7 up to √q = 2 and 4e-4 at 4 (tanh, which turns into a
    sign), or 1e-6, 2e-5 and 3e-4.  A kink elsewhere than at 0 leaves terms^{−3/2}/50, a jump terms^{−1/2}/5.  More `terms`
    make it as small as one likes.

    `breaks` are the points where σ has a kink or a jump.  Functions that grow faster than e^{x²/(4 q11)} are out of
    its reach.
    """

    function: Function = eqx.field(static=True)
    breaks: tuple[float, ...] = eqx.field(static=True, default=(0.0,))
    terms: int = eqx.field(static=True, default=128)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.function(x)

    def __reduce__(self) -> tuple[Callable[..., "Quadrature"], tuple[Any, ...]]:
        # Compiled functions, as many of JAX's own are, neither pickle nor copy: those go by their names.
        for place, module in _PLACES.items():
            if getattr(module, getattr(self.function, "__name__", ""), None) is self.function:
                return _of_name, (place, self.function.__name__, self.breaks, self.terms)
        return Quadrature, (self.function, self.breaks, self.terms)

    def _slope(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return differentiated(self.function, x)

    @property
    def _jumps(self) -> dict[int, float]:
        """By how much the first, second and third derivatives of σ jump at 0, where they do."""
        if 0.0 not in self.breaks:
            return {}
        found, derivative = {}, self.function
        for order in (1, 2, 3):
            derivative = partial(differentiated, derivative)
            far, near = (np.diff(host_values(derivative, np.array([-h, h])))[0] for h in (1e-7, 1e-12))
            if abs(near) > 1e-6 and abs(far - near) < 1e-3 * abs(near):  # else it has a pole there
                found[order] = float(near)
        return found

    @property
    def _parity(self) -> int:
        """1 for an even σ, −1 for an odd one, 0 for any other."""
        z, *_ = _host(self.breaks, self.terms)
        values, mirrored = host_values(self.function, z), host_values(self.function, -z)
        for sign in (1, -1):
            if np.abs(values - sign * mirrored).max() <= 1e-14 * np.abs(values).max():
                return sign
        return 0

    def _rows(
        self, function: Function, q: Float[Array, "..."], kinks: Kinks
    ) -> tuple[Float[Array, "terms+3 ..."], Float[Array, "2 ..."], Float[Array, "..."]]:
        """For every entry of q: coefficients 0…terms and the roots of the two remainders; and E σ².

        Of the remainders the energy of the kinks beyond is taken off; the roots of what is then negative, as mixed
        terms of the two may be, come apart.
        """
        z, weights, basis = lax.optimization_barrier(
            tuple(jnp.asarray(v, q.dtype) for v in _host(self.breaks, self.terms))
        )
        values = function(safe_sqrt(q)[..., None] * z)
        # Nodes are symmetric where the breaks are: the values at −z are at hand.
        symmetric = set(self.breaks) == {-b for b in self.breaks}
        mirrored = values[..., ::-1] if symmetric else function(-safe_sqrt(q)[..., None] * z)
        coefficients = jnp.moveaxis(matmul(values, basis), -1, 0)
        square = matmul(values**2, weights)
        # The remainders of even and odd degree go with the two powers of c that come next, so that c = ±1 is exact.
        more, less, beyond = [], [], kinks.beyond(q, self.terms)
        for degree in (self.terms + 1, self.terms + 2):
            part = (values + (-1) ** degree * mirrored) / 2
            rest = matmul(part**2, weights) - jnp.sum(coefficients[degree % 2 :: 2] ** 2, axis=0) - beyond[degree % 2]
            noise = _NOISE * jnp.finfo(q.dtype).eps * square
            more.append(safe_sqrt(jnp.where(rest > noise, rest, 0)))
            less.append(safe_sqrt(jnp.where(rest < -noise, -rest, 0)))
        return jnp.concatenate([coefficients, jnp.stack(more)]), jnp.stack(less), square

    def _propagate(self, pair: Covariance) -> Covariance:
        kinks = kinks_of(self._jumps)
        one, less_one, left = self._rows(self.function, pair.left, kinks)
        two, less_two, right = self._rows(self.function, pair.right, kinks)
        c, closeness = pair.correlation, safe_divide(2 * pair.below, pair.below + pair.above)
        rows = [one, two]
        if kinks.parts:
            rows += [
                kinks.rows(pair.left, self.terms, side=0).at[-2:, 0].set(less_one),
                kinks.rows(pair.right, self.terms, side=1).at[-2:, 0].set(less_two),
            ]
        apart, total = _apart_and_below(c, rows, 0 if kinks.parts else self._parity)
        turned = closeness * total
        apart = apart - jnp.sum((less_one - less_two) ** 2, axis=0) + kinks.apart(pair, self.terms)
        turned = turned + kinks.below(pair)
        a, b = safe_sqrt(left), safe_sqrt(right)
        below = jnp.clip((apart - (a - b) ** 2) / 2 + turned, 0, 2 * a * b)
        return Covariance(left, right, below, 2 * a * b - below)

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        kinks = kinks_of({order - 1: jump for order, jump in self._jumps.items()})
        one, *_ = self._rows(self._slope, pair.left, kinks)
        two, *_ = self._rows(self._slope, pair.right, kinks)
        rows, parity, c = [one, two], -self._parity, pair.correlation
        if kinks.parts:
            rows, parity = rows + [kinks.rows(q, self.terms, s) for s, q in enumerate((pair.left, pair.right))], 0
        total, _ = lax.scan(
            lambda total, row: (total * _step(c, parity) + _weight(*row), None),
            _zero(c, rows),
            tuple(v[_degrees(parity)][::-1] for v in rows),
        )
        return (total * c if parity == -1 else total) + kinks.cross(pair)

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        z, _, basis = _host(graded_breaks(self.breaks, scale, shift), degree)
        return host_values(self.function, scale * z + shift) @ basis

    @property
    def passes(self) -> int:
        return max(1, self.terms // 8)

    @property
    def homogeneity(self) -> None:
        return None

    @property
    def centres(self) -> tuple[float, ...]:
        return self.breaks

    @property
    def relu_slopes(self) -> None:
        return None


def _apart_and_below(
    c: Float[Array, "..."], rows: Sequence[Float[Array, "..."]], parity: int
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Σ_k (a_k − b_k)² and Σ_k w_k(1 − c^k)/(1 − c), w_k = a_k b_k − what kinks take out of it.

    Both are sums of small terms near c = 1, where √(κ11 κ22) − Σ ab c^k would cancel.  With W_j = Σ_{k>j} w_k:

        Σ_k w_k(1 − c^k)/(1 − c) = Σ_j c^j W_j                        and, where w_k = 0 for every second k,
                                 = (1 + c) Σ_j c^{2j} W_{2j}          (even)
                                 = W_0 + c(1 + c) Σ_j c^{2j} W_{2j+1} (odd)
    """

    def term(carry: tuple[Array, Array, Array], row: tuple[Array, ...]) -> tuple[tuple[Array, Array, Array], None]:
        apart, above, total = carry
        above = above + _weight(*row)
        return (apart + (row[0] - row[1]) ** 2, above, total * _step(c, parity) + above), None

    kept = [v[_degrees(parity)] for v in rows]
    zero = _zero(c, rows)
    (apart, above, total), _ = lax.scan(term, (zero, zero, zero), tuple(v[:0:-1] for v in kept))
    apart = apart + (kept[0][0] - kept[1][0]) ** 2
    if parity == -1:
        return apart, above + _weight(*(v[0] for v in kept)) + c * (1 + c) * total
    return apart, (1 + c) * total if parity == 1 else total


def _degrees(parity: int) -> slice:
    return {0: slice(None), 1: slice(0, None, 2), -1: slice(1, None, 2)}[parity]


def _step(c: Float[Array, "..."], parity: int) -> Float[Array, "..."]:
    return c**2 if parity else c


def _zero(c: Float[Array, "..."], rows: Sequence[Float[Array, "..."]]) -> Float[Array, "..."]:
    return jnp.zeros(jnp.broadcast_shapes(c.shape, *(v.shape[1:] for v in rows[:2])), c.dtype)


def _weight(a: Array, b: Array, *kinks: Array) -> Array:
    """a_k b_k without what kinks take out of it."""
    return a * b - sum(p * q for p, q in zip(*kinks, strict=True)) if kinks else a * b


_PLACES = {"jax.numpy": jax.numpy, "jax.nn": jax.nn, "jax.scipy.special": jax.scipy.special, "jax.lax": lax}


def _of_name(place: str, name: str, breaks: tuple[float, ...], terms: int) -> Quadrature:
    return Quadrature(getattr(_PLACES[place], name), breaks, terms)


@lru_cache(maxsize=8)
def _host(
    breaks: tuple[float, ...], degree: int
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"], Float[np.ndarray, "q k"]]:
    """Quadrature nodes, weights, and weights times h_k(node) for k = 0…degree."""
    z, weights = gaussian_quadrature(breaks=breaks, order=14 + int(degree**0.5))
    root = np.exp(-(z**2) / 4) / np.sqrt(2 * np.pi)
    lebesgue = weights / (np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return z, weights, (hermite_functions(degree, z) * (lebesgue * root)).T

"""Any function at all: duals by Gauss–Legendre quadrature of its Hermite coefficients, row by row."""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from rfjax.activations.base import Nonlinearity, differentiated, graded_breaks, host_values
from rfjax.activations.kinks import Kinks, kinks_of
from rfjax.numerics import Covariance, gaussian_quadrature, hermite_functions, matmul, safe_divide, safe_sqrt

_REACH = 13.0  # of quadrature, beyond which no function has any weight

_Basis = tuple[Float[np.ndarray, "q k"], Float[np.ndarray, "k k"]]
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
        z = _halves(self.breaks, self.terms)[0]
        values, mirrored = host_values(self.function, z), host_values(self.function, -z)
        for sign in (1, -1):
            if np.abs(values - sign * mirrored).max() <= 1e-14 * np.abs(values).max():
                return sign
        return 0

    def _series(
        self, function: Function, q: Float[Array, "..."], kinks: Kinks
    ) -> tuple["_Series", Float[Array, "..."], Float[Array, "..."]]:
        """The series of every entry of q; E σ²; and what the series sums to, kinks and all: the same but for rounding.

        v(z) = √w σ(√q z),  a_k = Σ v H_k,  H_k = √w h_k        over nodes z > 0, even and odd parts apart
        left = Σ (v − Σ_k a_k H_k)² + ‖aᵀ·outside‖² − kinks
        """
        z, root, *bases = lax.optimization_barrier(
            jax.tree.map(lambda v: jnp.asarray(v, q.dtype), _halves(self.breaks, self.terms))
        )
        there, mirrored = (function(sign * safe_sqrt(q)[..., None] * z) * root for sign in (1, -1))
        coefficients, left = [], []
        for part, (basis, outside), energy in zip(
            (there + mirrored, there - mirrored), bases, kinks.energies(q, self.terms), strict=True
        ):
            own = matmul(part, basis)
            # The energy of the difference: a difference of energies would be rounding, of which roots are taken.
            unseen = jnp.sum((part - matmul(own, basis.T)) ** 2, axis=-1) + jnp.sum(matmul(own, outside) ** 2, axis=-1)
            coefficients.append(own)
            left.append(unseen - energy)
        more, less = (safe_sqrt(jnp.maximum(sign * jnp.stack(left), 0)) for sign in (1, -1))
        series = _Series(_interleaved(*coefficients), more, less)
        square = 2 * jnp.sum(there**2 + mirrored**2, axis=-1)
        return series, square, series.energy + sum(kinks.energies(q, self.terms))

    def _propagate(self, pair: Covariance) -> Covariance:
        kinks = kinks_of(self._jumps)
        one, left, own = self._series(self.function, pair.left, kinks)
        two, right, theirs = self._series(self.function, pair.right, kinks)
        a, b, *sizes = (safe_sqrt(v) for v in (left, right, own, theirs))
        parity = 0 if kinks.parts else self._parity
        apart, turned = _apart_and_turned(pair.correlation, one.over(sizes[0]), two.over(sizes[1]), parity)
        apart = apart + kinks.apart(pair, sizes, self.terms)
        closeness = safe_divide(2 * pair.below, pair.below + pair.above)
        below = a * b * (apart / 2 + closeness * turned) + kinks.below(pair, self.terms)
        below = jnp.clip(below, 0, 2 * a * b)
        return Covariance(left, right, below, 2 * a * b - below)

    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        kinks = kinks_of({order - 1: jump for order, jump in self._jumps.items()})
        one, two = (self._series(self._slope, q, kinks)[0] for q in (pair.left, pair.right))
        c, parity = pair.correlation, 0 if kinks.parts else -self._parity
        total = _zero(c, one, two)
        for _, weight in _last(one, two, parity):
            total = total * _step(c, parity) + weight
        total, _ = lax.scan(
            lambda total, row: (total * _step(c, parity) + row[0] * row[1], None),
            total,
            tuple(v.terms[_degrees(parity)][::-1] for v in (one, two)),
        )
        return (total * c if parity == -1 else total) + kinks.cross(pair, self.terms)

    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        z, weights = _nodes(graded_breaks(self.breaks, scale, shift), degree)
        return _basis(z, weights / _density(z), degree) @ (
            np.sqrt(weights) * host_values(self.function, scale * z + shift)
        )

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


class _Series(NamedTuple):
    """E σ(√q z)h_k(z), k = 0…terms, and roots of what is left of E σ²: more² − less² at even and at odd degrees.

    What is left goes with the next two powers of c, so that c = ±1 is exact.  The energy of the kinks beyond is taken off;
    the roots of what is then negative, as mixed terms of the two may be, come apart.
    """

    terms: Float[Array, "k ..."]
    more: Float[Array, "2 ..."]
    less: Float[Array, "2 ..."]

    @property
    def energy(self) -> Float[Array, "..."]:
        """Σ_k a_k²."""
        terms, more, less = (jnp.sum(v**2, axis=0) for v in self)
        return terms + more - less

    def over(self, size: Float[Array, "..."]) -> "_Series":
        return _Series(*(safe_divide(v, size) for v in self))


def _apart_and_turned(
    c: Float[Array, "..."], one: _Series, two: _Series, parity: int
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Σ_k (a_k − b_k)² and Σ_k w_k(1 − c^k)/(1 − c), w_k = a_k b_k.

    With Σ_k a_k² = Σ_k b_k² = 1, 1 − Σ_k w_k c^k is half of the one and 1 − c times the other: sums of small terms near
    c = 1, where the difference would cancel.  With W_j = Σ_{k>j} w_k:

        Σ_k w_k(1 − c^k)/(1 − c) = Σ_j c^j W_j                        and, where w_k = 0 for every second k,
                                 = (1 + c) Σ_j c^{2j} W_{2j}          (even)
                                 = W_0 + c(1 + c) Σ_j c^{2j} W_{2j+1} (odd)
    """

    def term(carry: tuple[Array, Array, Array], apart: Array, weight: Array) -> tuple[Array, Array, Array]:
        above = carry[1] + weight
        return carry[0] + apart, above, carry[2] * _step(c, parity) + above

    carry = (_zero(c, one, two),) * 3
    for between in _last(one, two, parity):
        carry = term(carry, *between)
    (a, *_), (b, *_) = kept = tuple(v.terms[_degrees(parity)] for v in (one, two))
    (apart, above, total), _ = lax.scan(
        lambda carry, row: (term(carry, (row[0] - row[1]) ** 2, row[0] * row[1]), None),
        carry,
        tuple(v[:0:-1] for v in kept),
    )
    apart = apart + (a - b) ** 2
    if parity == -1:
        return apart, above + a * b + c * (1 + c) * total
    return apart, (1 + c) * total if parity == 1 else total


def _last(one: _Series, two: _Series, parity: int) -> Iterator[tuple[Array, Array]]:
    """(a_k − b_k)² and a_k b_k of what is left, of the higher degree first."""
    for degree in (len(one.terms) + 1, len(one.terms)):
        if parity in (0, (-1) ** degree):
            (more, less), (their_more, their_less) = ((v[degree % 2] for v in s[1:]) for s in (one, two))
            yield (more - their_more) ** 2 - (less - their_less) ** 2, more * their_more - less * their_less


def _degrees(parity: int) -> slice:
    return {0: slice(None), 1: slice(0, None, 2), -1: slice(1, None, 2)}[parity]


def _step(c: Float[Array, "..."], parity: int) -> Float[Array, "..."]:
    return c**2 if parity else c


def _zero(c: Float[Array, "..."], one: _Series, two: _Series) -> Float[Array, "..."]:
    return jnp.zeros(jnp.broadcast_shapes(c.shape, one.terms.shape[1:], two.terms.shape[1:]), c.dtype)


_PLACES = {"jax.numpy": jax.numpy, "jax.nn": jax.nn, "jax.scipy.special": jax.scipy.special, "jax.lax": lax}


def _of_name(place: str, name: str, breaks: tuple[float, ...], terms: int) -> Quadrature:
    return Quadrature(getattr(_PLACES[place], name), breaks, terms)


def _interleaved(even: Float[Array, "... e"], odd: Float[Array, "... o"]) -> Float[Array, "k ..."]:
    """Of the degrees 0, 2, … and 1, 3, … all degrees."""
    count = even.shape[-1] + odd.shape[-1]
    odd = jnp.pad(odd, [(0, 0)] * (odd.ndim - 1) + [(0, even.shape[-1] - odd.shape[-1])])
    return jnp.moveaxis(jnp.stack([even, odd], axis=-1).reshape(*even.shape[:-1], -1)[..., :count], -1, 0)


@lru_cache(maxsize=8)
def _halves(
    breaks: tuple[float, ...], terms: int
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"], _Basis, _Basis]:
    """Nodes z > 0 of a rule that is symmetric, roots of half their weights, and the h_k of even and of odd degree <= terms.

    Each as the columns √(2w)·h_k(z), and as the factor R of QR of the same beyond the last node, transposed.
    """
    z, weights = _nodes(tuple(sorted({*breaks, *(-b for b in breaks)})), terms)
    z, weights = z[z > 0], weights[z > 0]
    near = _basis(z, 2 * weights / _density(z), terms)
    # Beyond 2√k, h_k has fallen to nothing.
    unit, gaps = np.polynomial.legendre.leggauss(terms + 64)
    half = math.sqrt(terms) + 4
    far = _basis(_REACH + half * (1 + unit), 2 * half * gaps, terms)
    even, odd = ((near[i::2].T, np.linalg.qr(far[i::2].T).R.T) for i in (0, 1))
    return z, np.sqrt(weights / 2), even, odd


def _nodes(breaks: tuple[float, ...], degree: int) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    return gaussian_quadrature(breaks=breaks, order=14 + int(degree**0.5))


def _basis(z: Float[np.ndarray, " q"], lengths: Float[np.ndarray, " q"], degree: int) -> Float[np.ndarray, "k q"]:
    """√(lengths·φ(z))·h_k(z) for k = 0…degree."""
    return hermite_functions(degree, z) * np.sqrt(lengths) / (2 * np.pi) ** 0.25


def _density(z: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)

"""What every nonlinearity offers: its values, its Gaussian duals and its Hermite coefficients."""

import abc
from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.numerics import Covariance, gaussian_quadrature, in_float64

_ONE_NODE = 0.3  # of E σ²: what a node of the quadrature has at most where σ is resolved


class Nonlinearity(eqx.Module):
    """A scalar function σ together with what Gaussian inputs make of it.

    Its parameters are static: they are part of which function it is, so a kernel compiled for it is compiled once.

    A subclass gives `__call__`, `_propagate`, `_derivative` and `_coefficients`; the public verbs stand here.
    """

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """σ(x), elementwise."""

    @abc.abstractmethod
    def _propagate(self, pair: Covariance) -> Covariance:
        """The covariance of (σ(u), σ(v)), uncentred, for (u, v) of covariance `pair`."""

    @abc.abstractmethod
    def _derivative(self, pair: Covariance) -> Float[Array, "..."]:
        """E σ'(u)σ'(v), σ' taken almost everywhere."""

    @abc.abstractmethod
    def _coefficients(self, degree: int, scale: float, shift: float) -> Float[np.ndarray, " k"]:
        """Hermite coefficients 0…degree of z ↦ σ(scale·z + shift), for scale > 0."""

    @property
    @abc.abstractmethod
    def relu_slopes(self) -> tuple[float, float] | None:
        """(p, q) when σ(x) = p·(x)₊ + q·(−x)₊, the form in which population risks are exact; otherwise None."""

    @property
    @abc.abstractmethod
    def homogeneity(self) -> int | None:
        """k when σ(tx) = t^k σ(x) for every t > 0; otherwise None."""

    @property
    @abc.abstractmethod
    def centres(self) -> tuple[float, ...]:
        """The points around which σ is not smooth, or changes on the scale of one unit; quadrature is finer there."""

    @property
    def passes(self) -> int:
        """About how many closed forms, an arcsine with a few roots, its duals cost."""
        return 1

    @property
    def fuses(self) -> bool:
        """Whether compilers make one loop over all pairs of the duals of several layers in a row."""
        return False

    @final
    def propagate(self, pair: Covariance) -> Covariance:
        """The second moments of (σ(u), σ(v)) for a centred Gaussian pair (u, v), without cancellation."""
        return self._propagate(pair)

    @final
    def derivative(self, pair: Covariance) -> Float[Array, "..."]:
        """E σ'(u)σ'(v) for a centred Gaussian pair (u, v), σ' taken almost everywhere."""
        return self._derivative(pair)

    @final
    def dual(self, q11: ArrayLike, q12: ArrayLike, q22: ArrayLike) -> Float[Array, "..."]:
        """The dual activation κ(q11, q12, q22) = E σ(u)σ(v), (u, v) centred Gaussian with these second moments.

        Elementwise over arrays that broadcast.  From plain moments an angle below √eps cannot be told from 0: inside
        a kernel, `propagate` keeps it.  Daniely et al. 2016, *Toward deeper understanding of neural networks*.
        """
        return self._propagate(_pair(q11, q12, q22)).cross

    @final
    def derivative_dual(self, q11: ArrayLike, q12: ArrayLike, q22: ArrayLike) -> Float[Array, "..."]:
        """E σ'(u)σ'(v): by Price's theorem ∂κ/∂q12, where σ is continuous; for a step it is 0 (σ' = 0 a.e.)."""
        return self._derivative(_pair(q11, q12, q22))

    @final
    def hermite_coefficients(self, degree: int, *, scale: float = 1.0, shift: float = 0.0) -> Float[np.ndarray, " k"]:
        """Normalised Hermite coefficients a_k = E σ(scale·z + shift)·h_k(z), z ~ N(0, 1), for k = 0…degree.

        Host array in float64.  Σ_k a_k² = E σ(scale·z + shift)².

        **Raises** ValueError for a negative degree or a scale that is negative or not finite.
        """
        checks.count("degree", degree, least=0)
        checks.number("scale", scale, least=0.0)
        checks.number("shift", shift)
        if scale == 0:
            return np.concatenate([host_values(self, np.array([float(shift)])), np.zeros(degree)])
        return self._coefficients(degree, float(scale), float(shift))

    @final
    def moments(self, *, scale: float = 1.0, shift: float = 0.0) -> tuple[float, float]:
        """(E σ(scale·z + shift), E σ(scale·z + shift)²), z ~ N(0, 1), in float64 to about 1e-14 relative.

        By quadrature over 13 standard deviations, unless the activation has a closed form.

        **Raises** ValueError for a scale that is negative or not finite, when σ is not finite at a node, or when the
        integral of σ² does not settle: in the tails, or at a point where σ is unbounded.
        """
        return self._moments(float(checks.number("scale", scale, least=0.0)), float(checks.number("shift", shift)))

    def _moments(self, scale: float, shift: float) -> tuple[float, float]:
        """`moments`, by quadrature; a subclass that knows better gives its own."""
        z, weights = gaussian_quadrature(breaks=graded_breaks(self.centres, scale, shift))
        values = host_values(self, scale * z + shift)
        _require_finite(z, weights * values**2)
        return float(weights @ values), float(weights @ values**2)


def _require_finite(z: Float[np.ndarray, " q"], parts: Float[np.ndarray, " q"]) -> None:
    """Raise ValueError where the parts of an integral gather at one node, or at the ends, and do not die out there."""
    total = parts.sum()
    lonely, far = parts.argmax(), np.abs(z) > z.max() - 0.5
    end, before = parts[far].sum(), parts[(np.abs(z) > z.max() - 1) & ~far].sum()
    if not np.isfinite(total) or (end > 1e-7 * total and end > 0.1 * before):
        raise ValueError(
            "the activation must have a finite E σ², and grows about as fast as e^{z²/4}, or faster, at this scale"
        )
    if parts[lonely] > _ONE_NODE * total:
        raise ValueError(
            f"the activation must have a finite E σ², and is unbounded or very narrow near z = {z[lonely]:.3g}"
        )


def host_values(function: Callable[[Array], Array], x: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
    """function(x) as a host array, computed in float64 whatever JAX is set to.

    **Raises** ValueError when a value is NaN or infinite.
    """
    with in_float64():
        values = np.asarray(function(jnp.asarray(x)), dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"the activation must be finite, got NaN or inf at {x[~np.isfinite(values)][0]:.3g}")
    return values


def differentiated(function: Callable[[Array], Array], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The derivative of a function that acts on each number alone."""
    return jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def graded_breaks(centres: tuple[float, ...], scale: float, shift: float) -> tuple[float, ...]:
    """Panel ends in z for σ(scale·z + shift): at each centre, and at distances 2^j/scale around it."""
    if scale == 0:
        return ()
    steps = [0.0, *(sign * 2.0**j / scale for j in range(-1, 5) for sign in (-1, 1))] if scale > 1 else [0.0]
    return tuple(sorted((c - shift) / scale + step for c in centres for step in steps))


def _pair(q11: ArrayLike, q12: ArrayLike, q22: ArrayLike) -> Covariance:
    return Covariance.from_moments(*(jnp.asarray(q, dtype=jnp.result_type(q, float)) for q in (q11, q12, q22)))

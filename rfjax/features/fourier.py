"""Fourier features of stationary kernels: k(x, y) = k(0)·E cos⟨w, (x − y)/ℓ⟩, the mean replaced by a sum."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features import draws
from rfjax.features.base import FeatureMap
from rfjax.features.frequencies import Dense, Frequencies, Regenerated, drawn
from rfjax.features.leverage import leverage
from rfjax.features.rows import by_rows
from rfjax.features.spectra import columns_of, spectrum
from rfjax.kernels import Kernel
from rfjax.numerics import cosine, safe_sqrt

DRAWS = ("iid", "orthogonal", "structured", "sobol", "halton", "leverage", "hermite")
FORMS = ("sincos", "phase")
_FROM_KEY = ("iid", "orthogonal", "structured")  # what can be drawn again inside a compiled call


class Fourier(FeatureMap):
    """φ(x) = [c_j cos⟨w_j, x/ℓ⟩, c_j sin⟨w_j, x/ℓ⟩], and with `phases` b: [√2·c_j cos(⟨w_j, x/ℓ⟩ + b_j)].

    φ(x)·φ(y) = Σ_j c_j² cos⟨w_j, (x − y)/ℓ⟩ in the first form, whose error does not depend on where x − y lies and is 0
    at x = y where Σ_j c_j² = k(0).  `approximates` is the kernel k that it stands for: height k(0) and length scales ℓ are
    read from it in every call, so that φ differentiates by them.  `share` [r] is c_j² / k(0), 1/r where None.
    """

    approximates: Kernel
    frequencies: Frequencies
    phases: Float[Array, " r"] | None
    share: Float[Array, " r"] | None
    columns: int = eqx.field(static=True)
    constant: bool = eqx.field(static=True, default=False)

    def _features(self, X: Float[Array, "n d"]) -> Float[Array, "n p"]:
        ready = eqx.tree_at(lambda phi: phi.frequencies, self, self.frequencies.ready())
        return by_rows(_waves, ready, spectrum(self.approximates).scaled(X))

    @property
    def in_dim(self) -> int:
        return self.columns


def _waves(phi: Fourier, X: Float[Array, "n d"]) -> tuple[Float[Array, "n r"], ...]:
    """The features of rows that are in length scales: cosines, and in the sin-cos form sines beside them."""
    height = jnp.asarray(spectrum(phi.approximates).height, X.dtype)
    share = jnp.asarray(1 / phi.frequencies.count if phi.share is None else phi.share, X.dtype)
    angles = phi.frequencies.project(X)
    if phi.phases is not None:
        return (safe_sqrt(2 * height * share) * cosine(angles + phi.phases.astype(X.dtype)),)
    size = safe_sqrt(height * share)
    waves = size * cosine(angles), size * cosine(angles, 0.5)
    return (waves[0], waves[1][:, :-1]) if phi.constant else waves  # the last sine is that of w = 0


def fourier(
    kernel: Kernel,
    in_dim: int,
    features: int,
    *,
    key: PRNGKeyArray | None = None,
    draw: str = "iid",
    form: str = "sincos",
    stored: bool = True,
    data: Float[Array, "n d"] | None = None,
    ridge: Float[Array, ""] | float | None = None,
) -> Fourier:
    """`features` columns φ with φ(x)·φ(y) ≈ k(x, y), for rbf, laplace, matern and rational_quadratic, `in_dim` columns.

    The kernel may be scaled (2.0 * k), see some columns only (k.on), and have a length scale a column.  `draw`:

    - "iid": frequencies independent (Rahimi & Recht 2007).
    - "orthogonal": at right angles in blocks of d: below iid at every p.
    - "structured": the same by Hadamard transforms, p·log d operations a row instead of p·d: for d of hundreds.
    - "sobol", "halton": quasi-random, at right angles too while there are too few to fill d dimensions: below iid at
      every p, and for few columns and many features far below.
    - "leverage": resampled by their ridge leverage at the points `data` [n, d] (some hundreds), for a fit with `ridge`.
    - "hermite": quadrature for rbf in up to some 5 columns; no randomness, and as many features <= `features` as its
      grid has.

    All but "hermite" are unbiased, E φ(x)·φ(y) = k(x, y), "structured" beyond 128 columns up to O(1/d).  The error of
    "hermite" falls faster than geometrically in p^{1/d}, once that exceeds the range of the data in length scales.

    `form` "sincos" gives two features a frequency (`features` even); "phase" one, cos(⟨w, x⟩ + b), with up to twice the
    error.  With `stored` False iid, orthogonal and structured frequencies are drawn anew in every call.  φ differentiates
    by length scales and heights; the law of a rational quadratic's frequencies stays that of the alpha it was drawn for.

    **Raises** TypeError for other kernels; ValueError or TypeError for an unknown draw or form, sizes below 1, odd
    `features` in the sin-cos form, a missing key, or settings that do not go together.
    """
    law = spectrum(kernel)
    columns = columns_of(law, in_dim)
    checks.choice("draw", draw, DRAWS)
    checks.choice("form", form, FORMS)
    features = checks.count("features", features)
    phased = form == "phase"
    if draw == "hermite":
        return _quadrature(kernel, in_dim, columns, features, phased, stored)
    key = checks.prng_key("key", key)
    if not phased and features % 2:
        raise ValueError(f"features must be even in the sin-cos form (form='phase' takes any), got {features}")
    if not stored and draw not in _FROM_KEY:
        raise ValueError(f"stored=False is for {', '.join(_FROM_KEY)}: draw={draw!r} is not made from the key alone")
    if (draw == "leverage") != (data is not None) or (data is None) != (ridge is None):
        raise ValueError("data and ridge are what draw='leverage' needs, and no other draw takes them")
    count = features if phased else features // 2
    frequency_key, phase_key = jax.random.split(key)
    phases = jax.random.uniform(phase_key, (count,)) if phased else None
    share = None
    chosen: Frequencies
    if draw == "leverage":
        points = law.scaled(checks.points("data", data, columns=in_dim))
        noise = checks.number("ridge", ridge, above=0.0) / law.height
        W, share = leverage(frequency_key, count, points, noise, law.mixing)
        chosen = Dense(W)
    elif draw in ("sobol", "halton"):
        W, phases = draws.sequence(frequency_key, draw, count, columns, law.mixing, phase=phased)
        chosen = Dense(W)
    elif not stored:
        chosen = Regenerated(frequency_key, law.mixing, draw, count, columns)
    else:
        chosen = drawn(draw, frequency_key, count, columns, law.mixing)
    return Fourier(kernel, chosen, None if phases is None else 2 * jnp.pi * phases, share, in_dim)


def _quadrature(kernel: Kernel, in_dim: int, columns: int, features: int, phased: bool, stored: bool) -> Fourier:
    """Gauss–Hermite features: at most `features` of them."""
    if spectrum(kernel).mixing.shape is not None:
        raise ValueError("draw='hermite' is for rbf: the laws of other kernels have tails that no such rule sees")
    if phased or not stored:
        raise ValueError("draw='hermite' has the sin-cos form alone, and its nodes are stored")
    W, share = draws.hermite(features, columns)
    return Fourier(
        kernel, Dense(jnp.asarray(W, float)), None, jnp.asarray(share, float), in_dim, constant=not W[-1].any()
    )

"""What a Gaussian process says of new points after it has seen data: mean, variance, covariance and samples."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.numerics import matmul, solve_factored, solve_lower
from rfjax.regression.fit import Start, as_start, start_values, with_start
from rfjax.regression.gram import Noise, as_kernel, as_noise, as_points, check_spectrum, factor, square_gram


class Posterior(eqx.Module):
    """The Gaussian process f given y = f(X) + ε; made by `rf.posterior`.

    `factor` [n, n] is the lower Cholesky factor L of k(X) + diag(noise), `coefficients` [n, ...] are L⁻ᵀL⁻¹(y − start(X)).
    Variances are those of f: add the noise for those of new observations.  All methods raise TypeError or ValueError for
    bad data.
    """

    kernel: Kernel
    X: Float[Array, "n d"]
    factor: Float[Array, "n n"]
    coefficients: Float[Array, "n ..."]
    start: Start | None
    ok: Bool[Array, ""]

    def mean(self, X: Float[Array, "m d"]) -> Float[Array, "m ..."]:
        """k(x, X)(k(X) + diag(noise))⁻¹(y − start(X)) + start(x): [m] or [m, c], with y's trailing shape."""
        X = self._points(X)
        return with_start(matmul(self.kernel(X, self.X), self.coefficients), self.start, X)

    def variance(self, X: Float[Array, "m d"]) -> Float[Array, " m"]:
        """Var f(x) = k(x, x) − ‖L⁻¹k(X, x)‖² [m], without the rest of the covariance; the same for every output.

        What rounding makes of variances near zero, where it would be negative, is 0.
        """
        X = self._points(X)
        return jnp.maximum(self.kernel.diag(X) - (self._white(X) ** 2).sum(axis=0), 0)

    def covariance(self, X: Float[Array, "m d"]) -> Float[Array, "m m"]:
        """Cov(f(x_i), f(x_j)) = k(x_i, x_j) − ⟨L⁻¹k(X, x_i), L⁻¹k(X, x_j)⟩, the same for every output.

        Symmetric, and positive semi-definite to rounding.
        """
        X = self._points(X)
        white = self._white(X)
        return self.kernel(X) - matmul(white.T, white)

    def sample(self, key: PRNGKeyArray, X: Float[Array, "m d"], shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        """Functions drawn from the posterior, at X: `shape` + [m] or [m, c], jointly over points, outputs independent.

            f = mean + V √s z,   covariance = V diag(s) Vᵀ,   z ~ N(0, I)

        Eigenvalues that rounding made negative count as 0, so that no jitter is added.  It jits and vmaps; derivatives
        need distinct eigenvalues.  **Raises** ValueError for a covariance that is not positive semi-definite.
        """
        shape = tuple(checks.count("shape", size) for size in shape)
        key, mean = checks.prng_key("key", key), self.mean(X)
        s, V = jnp.linalg.eigh(self.covariance(X))
        check_spectrum(s, self.kernel.diag(self._points(X)).sum() + (self.factor**2).sum())  # of what cancelled
        z = jax.random.normal(key, (*shape, *mean.shape), mean.dtype)
        columns = z.reshape(*shape, X.shape[0], -1)
        return mean + matmul(V * jnp.sqrt(jnp.maximum(s, 0)), columns).reshape(z.shape)

    def _points(self, X: Float[Array, "m d"]) -> Float[Array, "m d"]:
        return checks.points("X", X, columns=self.X.shape[1])

    def _white(self, X: Float[Array, "m d"]) -> Float[Array, "n m"]:
        """L⁻¹k(X, x)."""
        return solve_lower(self.factor, self.kernel(self.X, X))


def posterior(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    *,
    noise: Noise,
    start: Start | None = None,
    throw: bool = True,
) -> Posterior:
    """The Gaussian process of mean `start` (default zero) and covariance k, given y = f(X) + ε, ε ~ N(0, diag(noise)).

        f(x) | y ~ N(start(x) + k(x, X)A⁻¹(y − start(X)),  k(x, x) − k(x, X)A⁻¹k(X, x)),    A = k(X) + diag(noise)

    X [n, d]; y [n], or [n, c] for c independent outputs; `noise`, the *variance* of ε, is a number or [n].  The mean is
    `rf.ridge_regression` with ridge = noise.  One Cholesky factorisation.  Rasmussen & Williams 2006, eqs. 2.25, 2.26.

    It jits, vmaps and differentiates.  **Raises** TypeError or ValueError for bad data; ValueError when A is not
    positive definite, with the kernel's negative eigenvalue or a noise that works (under tracing the error comes at run
    time; with throw=False the posterior has `ok` False and is NaN instead).
    """
    kernel = as_kernel(model)
    X = as_points(model, X)
    y = checks.targets("y", y, rows=X.shape[0])
    variances = as_noise(noise, X)
    start = as_start(start)
    r = y if start is None else y - start_values(start, X, y.shape)
    L, ok = factor(square_gram(kernel, X), variances, throw=throw)
    return Posterior(kernel, X, L, solve_factored(L, r.astype(L.dtype)), start, ok)

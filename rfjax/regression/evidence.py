"""The log marginal likelihood of a Gaussian process, exact or by products with the kernel alone."""

import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from matfree import decomp

from rfjax import checks
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.numerics import matmul, solve_lower
from rfjax.regression.fit import Start, as_start, start_values
from rfjax.regression.gram import Noise, as_kernel, as_noise, as_points, factor, square_gram
from rfjax.regression.solvers.base import relative
from rfjax.regression.whitening import Whitening

METHODS = ("cholesky", "lanczos")


class Evidence(eqx.Module):
    """A log marginal likelihood: `value` in nats, `stderr` its standard error, 0.0 when exact.

    `residual` is the largest relative residual ‖(K + noise)α − y‖/‖y‖ of an output, and `ok` whether the matrix was
    positive definite and the residual within the tolerance.
    """

    value: Float[Array, ""]
    stderr: Float[Array, ""] | float
    residual: Float[Array, ""]
    ok: Bool[Array, ""]


def log_marginal_likelihood(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    *,
    noise: Noise,
    start: Start | None = None,
    method: str = "cholesky",
    key: PRNGKeyArray | None = None,
    probes: int = 16,
    order: int = 64,
    iterations: int = 1000,
    tolerance: float | None = None,
    rank: int | None = None,
    throw: bool = True,
) -> Evidence:
    """log p(y | X) under y = f(X) + ε, f a Gaussian process of mean `start` (default zero), ε ~ N(0, diag(noise)).

        log p = −½ Σ_c r_cᵀA⁻¹r_c − ½ c log det A − ½ n c log 2π,    A = k(X) + diag(noise),   r = y − start(X)

    X [n, d]; y [n], or [n, c] for c independent outputs, which add up; `noise`, the *variance* of ε, is a number or
    [n].  With method "cholesky" it is exact.  Rasmussen & Williams 2006, eq. 2.30.

    With method "lanczos" the matrix is never formed.  P = diag(noise) + FᵀF, F from `rank` (2√n) randomly pivoted columns
    of k(X), brings it near the identity, which is what makes small noise cheap: M = SᵀAS, SSᵀ = P⁻¹.  A⁻¹r is by
    conjugate gradients, preconditioned, to a relative residual `tolerance` (default √eps) within `iterations`; the
    log-determinant by `order` steps of Lanczos from each of `probes` random sign vectors, drawn from `key`,

        log det A = log det P + E zᵀ(log M)z,  zᵀ(log M)z ≈ n Σ_k V²_{1k} log t_k,    QᵀMQ = V diag(t) Vᵀ,  Q from z

    `stderr` is that of the mean over probes; the bias of a finite order, which more of it removes, is beside it.
    Ubaru, Chen & Saad 2017; Gardner et al. 2018 (GPyTorch).

    It jits, vmaps and differentiates in the kernel's hyperparameters, X, y and noise; with "lanczos" once, not twice:
    its derivative ½ Σ_c αᵀ(∂A)α − ½ c·mean of zᵀA⁻¹(∂A)z is an estimate by the same probes.  **Raises** TypeError or
    ValueError for bad data or settings; ValueError when A is not positive definite, with an eigenvalue or a noise that
    works, or when conjugate gradients do not converge (under tracing the error comes at run time; with throw=False
    `ok` is False instead).
    """
    checks.choice("method", method, METHODS)
    kernel = as_kernel(model)
    X = as_points(model, X)
    y = checks.targets("y", y, rows=X.shape[0])
    variances = as_noise(noise, X)
    start = as_start(start)
    r = (y if start is None else y - start_values(start, X, y.shape)).astype(X.dtype).reshape(X.shape[0], -1)
    if method == "cholesky":
        return _exact(square_gram(kernel, X), variances, r, throw)
    least = math.sqrt(jnp.finfo(X.dtype).eps)
    settings = (
        checks.count("probes", probes, least=2),
        min(checks.count("order", order), X.shape[0]),
        checks.count("iterations", iterations),
        float(checks.number("tolerance", least if tolerance is None else tolerance, above=0.0)),
        min(X.shape[0], round(2 * math.sqrt(X.shape[0])) if rank is None else checks.count("rank", rank, least=0)),
    )
    found, ritz = _lanczos(kernel, X, variances, r, checks.prng_key("key", key), settings)
    return _converged(found, ritz, settings) if throw else found


def _exact(K: Float[Array, "n n"], noise: Float[Array, "..."], r: Float[Array, "n c"], throw: bool) -> Evidence:
    L, ok = factor(K, noise, throw=throw)
    white = solve_lower(L, r)
    determinant = 2 * jnp.log(jnp.diagonal(L)).sum()
    zero = jnp.zeros((), K.dtype)
    return Evidence(_total((white**2).sum(), determinant, r), zero, zero, ok)


def _total(quadratic: Float[Array, ""], determinant: Float[Array, ""], r: Float[Array, "n c"]) -> Float[Array, ""]:
    n, c = r.shape
    return -(quadratic + c * determinant + n * c * math.log(2 * math.pi)) / 2


@partial(jax.jit, static_argnums=5)
def _lanczos(
    kernel: Kernel,
    X: Float[Array, "n d"],
    noise: Float[Array, "..."],
    r: Float[Array, "n c"],
    key: PRNGKeyArray,
    settings: tuple[int, int, int, float, int],
) -> tuple[Evidence, Float[Array, ""]]:
    """The evidence, and the smallest Rayleigh quotient of A that was met.

    What is solved and decomposed is held fixed; the derivative comes in by products of A with fixed vectors alone, in
    forms whose derivatives are those of the quadratic term (2αᵀr − αᵀAα, whose error is also only of second order) and
    of the log-determinant (zᵀA⁻¹(∂A)z).
    """
    probes, order, iterations, tolerance, rank = settings
    n, c = r.shape
    drawn, pivots = jax.random.split(key)
    Z = jax.random.rademacher(drawn, (probes, n), dtype=X.dtype)
    fixed = jax.tree.map(lax.stop_gradient, (kernel, X, noise))
    A, S = partial(_product, *fixed), Whitening.of(*fixed, rank=rank, key=pivots)

    def solve(b: Float[Array, " n"]) -> Float[Array, " n"]:
        settings = {"tol": tolerance / 2, "maxiter": iterations}
        return jax.scipy.sparse.linalg.cg(A, b, M=lambda v: S(S.transposed(v)), **settings)[0]

    alpha = jax.vmap(solve, 1, 1)(lax.stop_gradient(r))
    quadratures, W, ritz = jax.vmap(partial(_quadrature, A, S, order))(Z)
    moved = _product(kernel, X, noise, jnp.concatenate([alpha, S(Z.T)], axis=1))
    image, images = moved[:, :c], moved[:, c:]
    left = lax.stop_gradient(r - image)
    residual = relative(left, lax.stop_gradient(r))
    slope = (S(W.T) * images).sum() / probes
    determinant = S.log_determinant() + quadratures.mean() + slope - lax.stop_gradient(slope)
    stderr = c * quadratures.std(ddof=1) / (2 * math.sqrt(probes))
    smallest = ritz.min()
    ok = (smallest > 0) & (residual <= tolerance)
    value = _total((alpha * (2 * r - image)).sum(), determinant, r)
    return Evidence(value, stderr, residual, ok), smallest


def _product(
    kernel: Kernel, X: Float[Array, "n d"], noise: Float[Array, "..."], V: Float[Array, "n ..."]
) -> Float[Array, "n ..."]:
    """(k(X) + diag(noise)) V."""
    return kernel.matvec(X, None, V) + (noise * V.T).T


def _quadrature(
    A: Any, S: Whitening, order: int, z: Float[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, " n"], Float[Array, ""]]:
    """zᵀ(log M)z and M⁻¹z from the Krylov space of z, M = SᵀAS, and A's Rayleigh quotient at M's smallest Ritz vector."""
    # Of a symmetric M the Hessenberg form is tridiagonal.  Where the space is used up what follows is rounding, or 0/0:
    # it is cut off, and has no weight.
    Q, H, *_ = decomp.hessenberg(order, reortho="full", custom_vjp=False)(lambda v: S.transposed(A(S(v))), z)
    diagonal, beside = jnp.diagonal(H), jnp.diagonal(H, -1)
    scale = lax.cummax(jnp.maximum(jnp.abs(diagonal[:-1]), beside))
    joined = jnp.cumprod(jnp.where(beside > jnp.finfo(z.dtype).eps ** 0.75 * scale, 1, 0))
    alive = jnp.append(1, joined) > 0
    beside = jnp.where(alive[1:], beside, 0)
    T = jnp.diag(jnp.where(alive, diagonal, 1)) + jnp.diag(beside, 1) + jnp.diag(beside, -1)
    t, V = jnp.linalg.eigh(T)
    basis = jnp.where(alive[:, None], Q, 0)
    solution = matmul(jnp.linalg.norm(z) * matmul(V, V[0] / t), basis)
    vector = S(matmul(V[:, 0], basis))
    return (z @ z) * jnp.sum(V[0] ** 2 * jnp.log(t)), solution, t[0] / (vector @ vector)


def _converged(found: Evidence, ritz: Float[Array, ""], settings: tuple[int, int, int, float, int]) -> Evidence:
    iterations, tolerance = settings[2:4]
    if checks.is_traced(found.ok):
        message = "conjugate gradients did not converge, or the kernel is not positive definite with its noise"
        return eqx.error_if(found, ~found.ok, f"{message} (eager calls tell which)")
    if not ritz > 0:
        raise ValueError(
            f"the Gram matrix plus noise is not positive definite: it has an eigenvalue below {float(ritz):.6g}; more "
            "noise is needed, or the kernel is none"
        )
    if not found.ok:
        raise ValueError(
            f"conjugate gradients reached a relative residual of {float(found.residual):.2g} in {iterations} iterations, "
            f"above tolerance={tolerance:.2g}: a larger noise, tolerance= or iterations= is needed"
        )
    return found

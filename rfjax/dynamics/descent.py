"""Gradient descent under a fixed kernel, with momentum: any number of steps at once, or one after the other."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int

from rfjax import checks
from rfjax.dynamics.lanczos import largest_eigenvalue
from rfjax.dynamics.problem import alive, combine, prepare, project, spectrum
from rfjax.dynamics.step_size import critical, momentum_settings, require_stable
from rfjax.dynamics.trajectory import Trajectory
from rfjax.features import FeatureMap
from rfjax.kernels import Kernel
from rfjax.regression import Start

SOLVERS = ("eigh", "iterate")
Scalar = Float[Array, ""] | float
Two = tuple[Array, Array, Array, Array]  # the entries of 2 × 2 matrices, row by row


class GradientDescent(Trajectory):
    """f after t steps of gradient descent, in closed form for any t = 0, 1, 2, …; made by `rf.gradient_descent`.

    In the eigenbasis of K = k(X), with η = learning_rate·λ/n and β the momentum, the residual r = y − f and the
    change w of a mode are

        (r, w)_t = Mᵗ (r, w)_0,   w_0 = 0
        M = [[1 − η, β], [−η, β]]                       Polyak's (heavy ball)
        M = [[1 − η(1 + β), β²], [−η, β]]               Nesterov's
        f_t(x) = start(x) + k(x, X) V·diag((1 − (Mᵗ)₁₁)/λ)·Vᵀ(y − start(X))

    Mᵗ − I is found by repeated squaring, (I + E)² = I + (2E + E²), which keeps the digits of slow modes.  Directions of
    K with λ <= eps·n·λ_max do not move.
    """

    kernel: Kernel
    X: Float[Array, "n d"]
    start: Start | None
    eigenvalues: Float[Array, " n"]
    eigenvectors: Float[Array, "n n"]
    projections: Float[Array, "n ..."]
    learning_rate: Scalar
    momentum: Scalar
    nesterov: bool = eqx.field(static=True)

    @property
    def critical_learning_rate(self) -> Float[Array, ""]:
        """The learning rate at and above which it diverges, 2(1 + β)n/λ_max; see `rf.critical_learning_rate`."""
        return critical(self.eigenvalues[-1], self.X.shape[0], self.momentum, self.nesterov)

    def _times(self, t: ArrayLike) -> Int[Array, "..."]:
        return as_steps(t)

    def _moved(self, times: Int[Array, " T"], X: Float[Array, "m d"]) -> Float[Array, "T m ..."]:
        gains = _gains(self.eigenvalues, self.learning_rate, self.momentum, times, self.nesterov)
        return combine(self.kernel(X, self.X), self.eigenvectors, gains, self.projections)


class IteratedDescent(Trajectory):
    """The same function step by step, K never formed: t products with k(X), for few steps on many points.

    With α the coefficients, f_t(x) = start(x) + k(x, X) α_t, and b = y − start(X):

        g = (learning_rate/n)(b − K α_t)
        u_{t+1} = g + β u_t,   α_{t+1} = α_t + u_{t+1}              Nesterov's: α_t + g + β u_{t+1}
    """

    kernel: Kernel
    X: Float[Array, "n d"]
    start: Start | None
    residual: Float[Array, "n ..."]
    learning_rate: Scalar
    momentum: Scalar
    critical_learning_rate: Float[Array, ""]
    nesterov: bool = eqx.field(static=True)

    def _times(self, t: ArrayLike) -> Int[Array, "..."]:
        return as_steps(t)

    def _moved(self, times: Int[Array, " T"], X: Float[Array, "m d"]) -> Float[Array, "T m ..."]:
        moved = self.kernel.matvec(X, self.X, _iterate(self, times))
        return jnp.moveaxis(moved.reshape(X.shape[0], times.shape[0], *self.residual.shape[1:]), 1, 0)


@jax.jit
def _iterate(descent: IteratedDescent, times: Int[Array, " T"]) -> Float[Array, "n Tc"]:
    """α at every one of `times`, by one run to the last of them."""
    b, X = descent.residual, descent.X
    dtype = jnp.result_type(b, X)
    rate, beta = (jnp.asarray(v, dtype) for v in (descent.learning_rate, descent.momentum))
    rate = rate / X.shape[0]

    def step(_: Int[Array, ""], state: tuple[Array, Array]) -> tuple[Array, Array]:
        alpha, velocity = state
        g = rate * (b - descent.kernel.matvec(X, None, alpha)).astype(dtype)
        velocity = g + beta * velocity
        return alpha + (g + beta * velocity if descent.nesterov else velocity), velocity

    def until(state: tuple[Array, Array], steps: Int[Array, ""]) -> tuple[tuple[Array, Array], Array]:
        state = lax.fori_loop(0, steps, step, state)
        return state, state[0]

    order = jnp.argsort(times)
    zero = jnp.zeros(b.shape, dtype)
    _, reached = lax.scan(until, (zero, zero), jnp.diff(times[order], prepend=jnp.zeros((1,), times.dtype)))
    return jnp.moveaxis(reached[jnp.argsort(order)], 0, 1).reshape(b.shape[0], -1)


@partial(jax.jit, static_argnames="nesterov")
def _gains(
    eigenvalues: Float[Array, " n"], learning_rate: Scalar, momentum: Scalar, times: Int[Array, " T"], nesterov: bool
) -> Float[Array, "T n"]:
    """(1 − (Mᵗ)₁₁)/λ, and 0 for eigenvalues that are zero to working precision."""
    size = eigenvalues.shape[0]
    moving = alive(eigenvalues)
    rate = jnp.asarray(learning_rate, eigenvalues.dtype) / size
    step = _step_less_one(jnp.where(moving, rate * eigenvalues, 0), jnp.asarray(momentum, eigenvalues.dtype), nesterov)
    return jax.vmap(lambda t: -_power_less_one(step, t)[0] / jnp.where(moving, eigenvalues, 1))(times)


def _step_less_one(eta: Float[Array, " n"], beta: Float[Array, ""], nesterov: bool) -> Two:
    """M − I of every mode."""
    beta = jnp.broadcast_to(beta, eta.shape)
    if nesterov:
        return -eta * (1 + beta), beta**2, -eta, beta - 1
    return -eta, beta, -eta, beta - 1


def _power_less_one(step: Two, t: Int[Array, ""]) -> Two:
    """Mᵗ − I of M − I."""

    def bit(i: Int[Array, ""], state: tuple[Two, Two]) -> tuple[Two, Two]:
        product, power = state
        taken = (t >> i.astype(t.dtype)) & 1 == 1
        product = jax.tree.map(partial(jnp.where, taken), _then(product, power), product)
        # Beyond the last bit of t there is nothing to square, and what diverges would overflow.
        more = (t >> i.astype(t.dtype)) > 1
        return product, jax.tree.map(partial(jnp.where, more), _then(power, power), power)

    nothing = tuple(jnp.zeros_like(entry) for entry in step)
    return lax.fori_loop(0, jnp.iinfo(t.dtype).bits - 1, bit, (nothing, step))[0]


def _then(a: Two, b: Two) -> Two:
    """(I + A)(I + B) − I."""
    product = (
        a[0] * b[0] + a[1] * b[2],
        a[0] * b[1] + a[1] * b[3],
        a[2] * b[0] + a[3] * b[2],
        a[2] * b[1] + a[3] * b[3],
    )
    return jax.tree.map(lambda left, right, both: left + right + both, a, b, product)


def as_steps(t: ArrayLike) -> Int[Array, "..."]:
    """`t` as numbers of steps.  Raises TypeError unless they are integers, ValueError for negative or too large ones."""
    host = t if hasattr(t, "dtype") else np.asarray(t)
    if not jnp.issubdtype(host.dtype, jnp.integer):
        raise TypeError(f"t must be an integer number of steps, got {host.dtype} (gradient_flow takes any time)")
    dtype = jnp.result_type(int)
    if not checks.is_traced(t):
        most = jnp.iinfo(dtype).max
        if not bool(((np.asarray(t) >= 0) & (np.asarray(t) <= most)).all()):
            raise ValueError(f"t must be a number of steps from 0 to {most}")
    return jnp.asarray(t, dtype)


def gradient_descent(
    model: Kernel | FeatureMap,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    *,
    learning_rate: Scalar,
    momentum: Scalar = 0.0,
    nesterov: bool = False,
    start: Start | None = None,
    solver: str = "eigh",
    throw: bool = True,
) -> GradientDescent | IteratedDescent:
    """Gradient descent on ½·mean‖f(x_i) − y_i‖² under a fixed kernel: `descent(t, X_test)` after t steps, t an integer.

        f_{t+1} = f_t − (learning_rate/n)·k(·, X)(f_t(X) − y) + β(f_t − f_{t−1}),   f_0 = f_{−1} = start (default zero)

    It is what optax.sgd(learning_rate, momentum, nesterov) makes of the parameters of a linear model.  A learning rate
    has the unit of 1/K, and learning_rate·t is the time of `rf.gradient_flow`, its limit of small steps.
    `descent.critical_learning_rate` is the one at which it diverges; a larger one raises, unless throw=False.

    solver="eigh": one eigendecomposition of K = k(X), then any number of steps.  solver="iterate": K never formed, t
    products with k(X); for large n.

    It jits and vmaps, over learning rates too; derivatives pass through an eigendecomposition and need distinct
    eigenvalues ("iterate": forward mode only).  **Raises** TypeError or ValueError for bad data or settings, and
    ValueError, naming the critical one, for a learning rate that diverges.
    """
    checks.choice("solver", solver, SOLVERS)
    learning_rate = checks.number("learning_rate", learning_rate, above=0.0)
    momentum, nesterov = momentum_settings(momentum, nesterov)
    kernel, X, residual, start = prepare(model, X, y, start)
    if solver == "iterate":
        top: Any = largest_eigenvalue(kernel, X)
        limit = critical(top, X.shape[0], momentum, nesterov)
        require_stable(learning_rate, limit, throw)
        return IteratedDescent(kernel, X, start, residual, learning_rate, momentum, limit, nesterov)
    values, vectors = spectrum(kernel, X)
    projections = project(vectors, residual)
    descent = GradientDescent(kernel, X, start, values, vectors, projections, learning_rate, momentum, nesterov)
    require_stable(learning_rate, descent.critical_learning_rate, throw)
    return descent

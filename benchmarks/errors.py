"""The float32 error of every kernel: against float64, at the very same float32 points, where it is hardest to be exact."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import rfjax as rf

DISTANCES = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)  # relative to the norm
NORMS = (0.1, 1.0, 2.0)  # by √d


def float32_error(name: str) -> tuple[float, int, int]:
    """The worst |error|/√(k(x,x)k(y,y)) of k(Z, Z) and of k(Z), and the numbers of points and columns of Z."""
    Z = points()
    with jax.enable_x64(False):
        kernel = KERNELS[name]()
        single = [np.asarray(kernel(jnp.asarray(Z), Y), np.float64) for Y in (jnp.asarray(Z), None)]
    with jax.enable_x64(True):
        wide = jnp.asarray(Z.astype(np.float64))
        exact = np.asarray(KERNELS[name]()(wide, wide))
    assert exact.dtype == np.float64
    own = np.sqrt(np.diagonal(exact))
    return max(float(np.max(np.abs(K - exact) / np.outer(own, own))) for K in single), *Z.shape


def points(d: int = 5, each: int = 2, seed: int = 0) -> NDArray[np.float32]:
    """Points of unequal norms, and for each of them others at all DISTANCES, their reflections, and multiples."""
    rng = np.random.default_rng(seed)
    rows = []
    for norm in np.repeat(NORMS, each) * d**0.5:
        x, direction = rng.normal(size=(2, d))
        x, direction = norm * x / np.linalg.norm(x), norm * direction / np.linalg.norm(direction)
        moved = x + np.array(DISTANCES)[:, None] * direction
        rows += [*moved, *-moved, 0.5 * x]
    return np.array(rows, np.float32)


def _kernels() -> Iterator[tuple[str, Callable[[], rf.Kernel]]]:
    a = rf.activations
    activations: dict[str, Callable[[], a.Nonlinearity]] = {
        **{
            name: lambda name=name: getattr(a, name)
            for name in ("relu", "abs", "identity", "step", "sign", "erf", "sigmoid_like", "gelu", "sin", "cos", "gaussian",
                         "gabor")
        },
        "leaky_relu(0.1)": lambda: a.leaky_relu(0.1),
        "rbf(1.0)": lambda: a.rbf(1.0),
        "exp(0.5)": lambda: a.exp(0.5),
        "monomial(3)": lambda: a.monomial(3),
        "hermite(4)": lambda: a.hermite(4),
        "rectified_monomial(2)": lambda: a.rectified_monomial(2),
        "tanh": lambda: a.from_function(jnp.tanh),
    }  # fmt: skip
    for name, activation in activations.items():
        for depth in (1, 2):
            yield (
                f"ntk {name} depth {depth}",
                lambda activation=activation, depth=depth: rf.ntk(
                    rf.mlp(depth=depth, width=1, activation=activation())
                ),
            )
    yield "rbf", rf.rbf
    yield "laplace", rf.laplace
    yield "matern(1.5)", lambda: rf.matern(1.5)
    yield "matern(2.5)", lambda: rf.matern(2.5)
    yield "rational_quadratic", rf.rational_quadratic
    yield "polynomial(3)", lambda: rf.polynomial(3)
    yield "arc_cosine(2)", lambda: rf.arc_cosine(2)
    yield "angular", rf.angular


KERNELS = dict(_kernels())

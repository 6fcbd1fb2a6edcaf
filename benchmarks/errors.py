"""The float32 error of every kernel: against float64, at the very same float32 points, where it is hardest to be exact."""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import rfjax as rf

DISTANCES = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)  # relative to the norm
NORMS = (0.1, 1.0, 1.5)  # by √d: two layers of exponentials stay in float32's range


_a = rf.activations
_NAMED = (
    "relu", "abs", "identity", "step", "sign", "erf", "sigmoid_like", "gelu", "sin", "cos", "gaussian", "gabor", "tanh",
    "sigmoid", "silu", "softplus", "elu", "selu", "mish",
)  # fmt: skip
ACTIVATIONS: dict[str, Callable[[], _a.Nonlinearity]] = {
    **{name: partial(getattr, _a, name) for name in _NAMED},
    "leaky_relu(0.1)": partial(_a.leaky_relu, 0.1),
    "rbf(1.0)": partial(_a.rbf, 1.0),
    "exp(0.5)": partial(_a.exp, 0.5),
    "monomial(3)": partial(_a.monomial, 3),
    "hermite(4)": partial(_a.hermite, 4),
    "rectified_monomial(2)": partial(_a.rectified_monomial, 2),
    "from_function(arctan)": partial(_a.from_function, jnp.arctan),
}


def float32_error(name: str) -> tuple[float, int, int]:
    """The worst |error|/√(k(x,x)k(y,y)) of k(Z, Z) and k.diag(Z), and the numbers of points and columns of Z."""
    Z = points()
    with jax.enable_x64(False):
        kernel, narrow = KERNELS[name](), jnp.asarray(Z)
        gram, diagonal = np.asarray(kernel(narrow, narrow)), np.asarray(kernel.diag(narrow))
    assert gram.dtype == diagonal.dtype == np.float32
    with jax.enable_x64(True):
        wide = jnp.asarray(Z.astype(np.float64))
        exact = np.asarray(KERNELS[name]()(wide, wide))
    assert exact.dtype == np.float64
    own = np.diagonal(exact)
    errors = np.abs(gram - exact) / np.sqrt(np.outer(own, own)), np.abs(diagonal - own) / own
    return max(float(np.max(e)) for e in errors), *Z.shape


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


def _network(activation: Callable[[], rf.activations.Nonlinearity], depth: int) -> rf.Kernel:
    return rf.ntk(rf.mlp(depth=depth, width=1, activation=activation()))


def _kernels() -> Iterator[tuple[str, Callable[[], rf.Kernel]]]:
    for name, activation in ACTIVATIONS.items():
        for depth in (1, 2):
            yield f"ntk {name} depth {depth}", partial(_network, activation, depth)
    yield "rbf", rf.rbf
    yield "laplace", rf.laplace
    yield "matern(1.5)", partial(rf.matern, 1.5)
    yield "matern(2.5)", partial(rf.matern, 2.5)
    yield "rational_quadratic", rf.rational_quadratic
    yield "polynomial(3)", partial(rf.polynomial, 3)
    yield "arc_cosine(2)", partial(rf.arc_cosine, 2)
    yield "angular", rf.angular


KERNELS = dict(_kernels())

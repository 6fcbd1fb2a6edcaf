"""References and helpers of the kernel tests."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from rfjax.kernels import Kernel
from rfjax.networks import Layer, State


class Readings(Kernel):
    """Both kernels of several networks on the same pairs, [networks, 2, ...]: one compilation for all of them.

    The networks are constants of the compiled program, which shares the layers that begin several of them.
    """

    networks: tuple[Layer, ...] = eqx.field(converter=tuple, static=True)

    def _evaluate(self, pairs):
        covariance = pairs.covariance
        start = State(covariance, jnp.zeros_like(covariance.below), pairs.columns)
        after = [network.propagate(start) for network in self.networks]
        return jnp.stack([jnp.stack([state.nngp, state.ntk]) for state in after])


class Stacked(Kernel):
    """Several kernels on the same pairs, as a leading axis."""

    kernels: tuple[Kernel, ...] = eqx.field(converter=tuple)

    def _evaluate(self, pairs):
        return jnp.stack([kernel._evaluate(pairs) for kernel in self.kernels])


@pytest.fixture(scope="session")
def stacked() -> type[Stacked]:
    """Several kernels as one: stacked(kernels)(X, Y) is [kernels, n, m], by one compilation."""
    return Stacked


@pytest.fixture(scope="session")
def readings() -> Callable[..., np.ndarray]:
    """Both kernels of several networks at all pairs of Z, as NumPy [networks, 2, n, n], the diagonal being no exception.

    Every pair goes the way of `k(X, Y)`, where a point does not know that it is compared with itself.
    """

    def evaluate(networks, Z) -> np.ndarray:
        values = np.asarray(Readings(networks)(Z, Z))
        assert values.dtype == Z.dtype
        return values

    return evaluate


def scale(gram: np.ndarray) -> np.ndarray:
    """√(k(x,x)k(y,y)) of every pair, in float64; 1 where a point's own value is 0."""
    own = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1).astype(np.float64))
    product = own[..., :, None] * own[..., None, :]
    return np.where(product > 0, product, 1)


@pytest.fixture(scope="session")
def scales() -> Callable[[np.ndarray], np.ndarray]:
    return scale


@pytest.fixture(scope="session")
def mp_kernels() -> Callable[..., tuple[float, float]]:
    """(NNGP, NTK) of an infinitely wide network at one pair of points, from the textbook forms in 60 digits."""

    def step(name: str, q11: mp.mpf, q12: mp.mpf, q22: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf, mp.mpf]:
        size = mp.sqrt(q11 * q22)
        theta = mp.acos(max(mp.mpf(-1), min(mp.mpf(1), q12 / size))) if size else mp.pi / 2
        if name == "sign":
            return mp.mpf(1), 1 - 2 * theta / mp.pi, mp.mpf(1), mp.mpf(0)
        if name == "erf":
            sizes = ((q11, q11, q11), (q12, q11, q22), (q22, q22, q22))
            arcsines = [2 / mp.pi * mp.asin(2 * c / mp.sqrt((1 + 2 * a) * (1 + 2 * b))) for c, a, b in sizes]
            return *arcsines, 4 / mp.pi / mp.sqrt((1 + 2 * q11) * (1 + 2 * q22) - 4 * q12**2)
        # σ(x) = [x]₊ − a[−x]₊, and E[u]₊[v]₊ = J(θ), E[u]₊[−v]₊ = J(π − θ)
        a = mp.mpf({"relu": 0, "abs": -1}[name])
        same, opposite = (size / (2 * mp.pi) * (mp.sin(t) + (mp.pi - t) * mp.cos(t)) for t in (theta, mp.pi - theta))
        cross = (1 + a**2) * same - 2 * a * opposite
        slope = ((1 + a**2) * (mp.pi - theta) + 2 * a * theta) / (2 * mp.pi)
        return (1 + a**2) * q11 / 2, cross, (1 + a**2) * q22 / 2, slope

    def kernels(x, y, name: str, depth: int, w_std: float, b_std: float) -> tuple[mp.mpf, mp.mpf]:
        with mp.workdps(60):
            x, y = ([v if isinstance(v, mp.mpf) else mp.mpf(float(v)) for v in row] for row in (x, y))
            q = [mp.fdot(a, b) / len(x) for a, b in ((x, x), (x, y), (y, y))]
            w, b, ntk = mp.mpf(w_std) ** 2, mp.mpf(b_std) ** 2, mp.mpf(0)
            for _ in range(depth):
                q = [w * v + b for v in q]
                ntk = q[1] + w * ntk
                *q, slope = step(name, *q)
                ntk *= slope
            return w * q[1] + b, w * q[1] + b + w * ntk

    return kernels


@pytest.fixture(scope="session")
def mp_gram(mp_kernels) -> Callable[..., np.ndarray]:
    """Both kernels for all pairs of X and Y, [2, n, m], in float64."""

    def gram(X, Y, *settings) -> np.ndarray:
        both = [[mp_kernels(x, y, *settings) for y in Y] for x in X]
        return np.array(both, dtype=float).transpose(2, 0, 1)

    return gram

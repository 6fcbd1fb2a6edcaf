"""Draws of frequencies for kernels of length scale 1: every row of [count, d] follows the spectral law, exactly.

iid             rows independent
orthogonal      blocks of d rows at right angles, lengths independent: Yu et al. 2016, *Orthogonal random features*
sobol, halton   a scrambled sequence through the inverse distribution functions: Avron et al. 2016, *Quasi-Monte
                Carlo feature maps for shift-invariant kernels*.  Waves do not tell w from −w, and of fewer than 4d²
                frequencies many are nearly opposite or alike: these are brought to right angles, d by d, and rotated
hermite         the nodes of Gauss–Hermite quadrature in every column: Dao et al. 2017, *Gaussian quadrature for
                kernel features*
"""

from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.features.spectra import Mixing

# Times d²: frequencies from which a bare sequence errs less than one at right angles (by trial, d = 2 to 40).
_FILLED = 4
_FEWEST_NODES = 4  # in a column: below, the rule's kernel is no Gaussian even within a length scale


@partial(jax.jit, static_argnames=("count", "columns"))
def iid(key: PRNGKeyArray, count: int, columns: int, mixing: Mixing) -> Float[Array, "count d"]:
    """Independent rows √τ·z."""
    direction, width = jax.random.split(key)
    return _widened(jax.random.normal(direction, (count, columns)), mixing.draw(width, count))


@partial(jax.jit, static_argnames=("count", "columns"))
def orthogonal(key: PRNGKeyArray, count: int, columns: int, mixing: Mixing) -> Float[Array, "count d"]:
    """Rows of uniform random orthogonal matrices [d, d], the last of them cut, times lengths √τ·χ_d."""
    direction, length, width = jax.random.split(key, 3)
    rows = haar(direction, -(-count // columns), columns).reshape(-1, columns)[:count]
    lengths = jnp.linalg.norm(jax.random.normal(length, (count, columns)), axis=1, keepdims=True)
    return _widened(rows * lengths, mixing.draw(width, count))


def haar(key: PRNGKeyArray, blocks: int, size: int) -> Float[Array, "blocks size size"]:
    """Uniform random orthogonal matrices: the QR factor of a Gaussian one, the signs of R's diagonal given to Q."""
    Q, R = jnp.linalg.qr(jax.random.normal(key, (blocks, size, size)))
    return Q * jnp.where(jnp.diagonal(R, axis1=1, axis2=2) < 0, -1, 1)[:, None, :]


def sequence(
    key: PRNGKeyArray, draw: str, count: int, columns: int, mixing: Mixing, *, phase: bool, waves: bool = True
) -> tuple[Float[Array, "count d"], Float[Array, " count"] | None]:
    """`count` points of a scrambled sequence as rows √τ·z, and one more column of it, in [0, 1), for phases.

    Rows for `waves` are brought to right angles where they are few.  Every row has its law exactly: each point of a
    scrambled sequence is uniform, and a rotation that is drawn on its own makes any direction uniform and independent of
    its length.
    """
    rng = host_generator(key, draw)
    mixed = mixing.shape is not None
    if mixed and checks.is_traced(mixing):
        raise TypeError(f"draw={draw!r} works on the host: alpha must be a known number, not a tracer")
    axes = columns + mixed + phase
    sparse = waves and count < _FILLED * columns**2
    points = -(-count // columns) * columns if sparse else count
    if draw == "sobol":
        if axes > scipy.stats.qmc.Sobol.MAXDIM:
            raise ValueError(
                f"draw='sobol' knows at most {scipy.stats.qmc.Sobol.MAXDIM} columns, got {axes}: take 'orthogonal'"
            )
        # Of a power of two points, without which SciPy warns, the first are the same.
        u = scipy.stats.qmc.Sobol(axes, seed=rng).random_base2((points - 1).bit_length())[:points]
    else:
        u = scipy.stats.qmc.Halton(axes, seed=rng).random(points)
    u = np.clip(u + 2.0**-31, 2.0**-31, 1 - 2.0**-31)  # the middle of Sobol's cells of 2^−30, away from 0 and 1
    W = scipy.special.ndtri(u[:, :columns])
    if sparse:
        rotation = np.linalg.qr(rng.normal(size=(columns, columns)))
        W = _at_right_angles(W) @ (rotation.Q * np.sign(np.diagonal(rotation.R)))
    W = W * mixing.quantile(u[:, columns])[:, None] if mixed else W
    return jnp.asarray(W[:count], float), jnp.asarray(u[:count, -1], float) if phase else None


def _at_right_angles(W: Float[np.ndarray, "count d"]) -> Float[np.ndarray, "count d"]:
    """Rows of the same lengths, every (count/d)-th of them a block that Gram and Schmidt bring to right angles.

    So the first rows of all blocks, which stay as they are, are the beginning of the sequence.
    """
    d = W.shape[1]
    Q, R = np.linalg.qr(W.reshape(d, -1, d).transpose(1, 2, 0))
    Q = Q * np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None, :]
    return Q.transpose(2, 0, 1).reshape(-1, d) * np.linalg.norm(W, axis=1, keepdims=True)


def hermite(features: int, columns: int) -> tuple[Float[np.ndarray, "r d"], Float[np.ndarray, " r"]]:
    """Nodes [r, d] and weights of a Gaussian mean, of each ± pair one: the largest grid of at most `features` nodes.

    The middle of an odd grid, whose sine is 0, comes last.  **Raises** ValueError below four nodes a column.
    """
    nodes = 1
    while (nodes + 1) ** columns <= features:
        nodes += 1
    if nodes < _FEWEST_NODES:
        raise ValueError(
            f"draw='hermite' is for few columns: {columns} need features >= {_FEWEST_NODES**columns}, got {features}; "
            "take 'sobol' or 'orthogonal'"
        )
    t, w = np.polynomial.hermite_e.hermegauss(nodes)
    places = np.array(list(product(range(nodes), repeat=columns)))[: (nodes**columns + 1) // 2]  # the rest mirrors them
    weights = 2 * np.prod(w[places] / w.sum(), axis=1)
    if nodes % 2:
        weights[-1] /= 2
    return t[places], weights


def host_generator(key: PRNGKeyArray, draw: str) -> np.random.Generator:
    """NumPy's generator, seeded by a JAX key.  Raises TypeError for a traced one."""
    if checks.is_traced(key):
        raise TypeError(f"draw={draw!r} works on the host: make the features outside of jax.jit and jax.vmap")
    return np.random.default_rng(np.asarray(jax.random.bits(key, (4,), jnp.uint32)).tolist())


def _widened(rows: Float[Array, "count d"], width: Any) -> Float[Array, "count d"]:
    return rows if width is None else rows * width[:, None]

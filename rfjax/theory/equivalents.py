"""The kernel of random neurons and a target neuron in its eigenfunctions: what random features can learn, by mode.

    modes = rf.theory.random_neuron_modes(task, bias=rf.features.Normal(1.0))
    rf.theory.random_feature_risk(modes, features=1000)    # beside rf.population_regression(rf.random_neurons(...))
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import eigh_tridiagonal
from scipy.special import gammaln

from rfjax import checks
from rfjax.activations import Nonlinearity, from_function, relu
from rfjax.features import Constant, Law, Normal, Uniform, Zero
from rfjax.tasks import Task
from rfjax.theory.harmonics import multiplicities
from rfjax.theory.modes import Modes, modes
from rfjax.theory.spectra import single_neuron_only

_BIASES, _NORMS = 48, 12  # nodes of the laws
_HERMITE = 1024  # the degree after which Hermite series are cut
_FUNCTIONS, _DEGREE = 1e12, 200  # spherical degrees are taken until there are so many functions, or so many degrees
_RESOLVED = 1e-13  # an eigenvalue below this part of its degree's largest is rounding


def random_neuron_modes(
    task: Task,
    *,
    activation: Nonlinearity | Callable[[Array], Array] = relu,
    weights: str = "sphere",
    bias: Law = Normal(1.0),  # noqa: B008 (immutable)
    degree: int | None = None,
) -> Modes:
    """Eigenspaces of E σ(⟨w, x⟩+b)σ(⟨w, y⟩+b), x ~ N(0, I_d), and the energy of a single-neuron task in each.

    The features are those of `rf.random_neurons`, by the same arguments.  With a_k(w, b) the Hermite coefficients of a
    feature and α_k those of the target, the harmonics of degree m have, over the laws of ‖w‖ and b,

        A[(‖w‖, b), k] = √P(‖w‖, b)·a_k(‖w‖, b)·√c(k, m, d),   t[k] = α_k √c(k, m, d)
        λ = the eigenvalues of A Aᵀ, N(d, m) of each,   v² = N(d, m)·(t's part along the eigenvectors of Aᵀ A)

    on Gauss nodes of both laws, c as in `rfjax.theory.harmonics`.  `degree` is the highest m: without it, up to 10¹²
    functions or degree 200.  What lies beyond, and beyond Hermite degree 1024, is `unresolved` and `outside`.

    **Raises** TypeError for a task that is not a single neuron, or a bias that is no law; ValueError for unknown
    weights or a negative degree.
    """
    neuron = single_neuron_only(task)
    checks.choice("weights", weights, ("sphere", "gaussian"))
    if not isinstance(bias, Law):
        raise TypeError(f"bias must be a law (Zero(), Constant(c), Normal(std), Uniform(low, high)), got {bias!r}")
    sigma, d = from_function(activation), neuron.d
    shifts, chances = _bias_nodes(bias)
    norms, likely = (np.ones(1), np.ones(1)) if weights == "sphere" else _norm_nodes(d)
    coefficients, square = [], 0.0
    for norm, p in zip(norms, likely, strict=True):
        for shift, q in zip(shifts, chances, strict=True):
            coefficients.append(np.sqrt(p * q) * sigma.hermite_coefficients(_HERMITE, scale=norm, shift=shift))
            square += p * q * sigma.moments(scale=float(norm), shift=float(shift))[1]
    counts, log_counts = multiplicities(d, _DEGREE if degree is None else checks.count("degree", degree, least=0))
    if degree is None:
        counts = counts[: 1 + int(np.searchsorted(np.cumsum(counts), _FUNCTIONS))]
    target = neuron.hermite_coefficients(_HERMITE)
    found = _by_degree(np.stack(coefficients), target, d, log_counts[: len(counts)])
    values, energies, log_multiplicities = (np.concatenate(part) for part in zip(*found, strict=True))
    listed = float(np.exp(values + log_multiplicities).sum())
    return modes(
        values,
        energies,
        log_multiplicities,
        log=True,
        outside=max(neuron.mean**2 + neuron.variance - float(energies.sum()), 0.0),
        unresolved=max(square - listed, 0.0) if square - listed > 1e-10 * square else 0.0,
    )


def _by_degree(
    coefficients: Float[np.ndarray, "s k"], target: Float[np.ndarray, " k"], d: int, log_counts: Float[np.ndarray, " m"]
) -> list[tuple[Float[np.ndarray, " e"], Float[np.ndarray, " e"], Float[np.ndarray, " e"]]]:
    """(ln λ, v², ln N) of each degree."""
    found = []
    for m, log_count in enumerate(log_counts):
        k = np.arange(m, len(target), 2)
        # Times √N: the shares of a power then add up to 1, whatever d.
        share = np.exp((gammaln(k + 1) + gammaln(d / 2) - k * np.log(2) + log_count
                        - gammaln((k - m) / 2 + 1) - gammaln((k + m + d) / 2)) / 2)  # fmt: skip
        A, t = coefficients[:, k] * share, target[k] * share
        squares, vectors = np.linalg.eigh(A @ A.T)
        real = squares > _RESOLVED * max(squares.max(), 0.0)
        if real.any():
            along = vectors[:, real].T @ (A @ t)
            found.append((np.log(squares[real]) - log_count, along**2 / squares[real], np.full(real.sum(), log_count)))
    return found


def _bias_nodes(law: Law) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Nodes and probabilities of a law of biases."""
    match law:
        case Zero():
            return np.zeros(1), np.ones(1)
        case Constant(value=value):
            return np.full(1, float(value)), np.ones(1)
        case Normal(std=std):
            nodes, mass = np.polynomial.hermite_e.hermegauss(_BIASES)
            return float(std) * nodes, mass / mass.sum()
        case Uniform(low=low, high=high):
            nodes, mass = np.polynomial.legendre.leggauss(_BIASES)
            return (float(low) + float(high)) / 2 + (float(high) - float(low)) / 2 * nodes, mass / 2
    raise TypeError(f"bias must be Zero, Constant, Normal or Uniform, got {type(law).__name__}")


def _norm_nodes(d: int) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Nodes and probabilities of ‖w‖ for w ~ N(0, I/d): the Gauss rule of the Gamma law of d‖w‖²/2 (Golub–Welsch)."""
    i = np.arange(_NORMS)
    nodes, vectors = eigh_tridiagonal(2 * i + d / 2, np.sqrt(i[1:] * (i[1:] + d / 2 - 1)))
    return np.sqrt(2 * nodes / d), vectors[0] ** 2

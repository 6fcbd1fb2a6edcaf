"""Random neurons on infinite data: the error of their best readout on a target neuron, without drawing any.

    rf.theory.random_neuron_risk(task, [100, 1000], bias=rf.features.Normal(1.0))     # relative
    rf.theory.random_neuron_modes(task, bias=rf.features.Normal(1.0))                 # their kernel, for learning curves

Neurons of different biases (and norms) have different covariances T_s, s a node of their law: a mixture, in which each
kind counts by how much of it the others do not span.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from rfjax import checks
from rfjax.activations import Nonlinearity, from_function, relu
from rfjax.features import Constant, Law, Normal, Uniform, Zero
from rfjax.tasks import SingleNeuron, Task
from rfjax.tasks.neuron import single_neuron_only
from rfjax.theory.eigenmodes import Modes, modes
from rfjax.theory.harmonics import gauss_rule, log_share, multiplicities
from rfjax.theory.learning_curves import gaussian_lengths
from rfjax.theory.sizes import numbers

_BIASES, _NORMS = 32, 8  # nodes of the laws
_DRAWS = 2**16  # of a law that is known by its draws alone
_LIKELY = 1e-9  # nodes of less probability are left out: of a million neurons they have none
_HERMITE = 1024  # the degree after which Hermite series are cut
_FUNCTIONS, _DEGREE = 1e10, 128  # spherical degrees are taken until there are so many functions, or so many degrees
_RESOLVED = 1e-12  # an eigenvalue below this part of its degree's largest is rounding
_STEPS, _WARM = 60, 12  # of Newton's method, and of plain iteration before it


def random_neuron_risk(
    task: Task,
    features: ArrayLike,
    *,
    activation: Nonlinearity | Callable[[Array], Array] = relu,
    weights: str = "sphere",
    bias: Law = Normal(1.0),  # noqa: B008 (immutable)
    relative: bool = True,
) -> float | Float[np.ndarray, "..."]:
    """E(f − g)² of the best readout of r random neurons in the population, averaged over the neurons.

        M = (I + r Σ_s p_s c_s T_s)⁻¹,   c_s tr(T_s M) = 1 for every kind s of neuron,   risk = ⟨g| M |g⟩

    with p_s the law of bias and norm and T_s = E f f over the directions of a neuron of kind s, all diagonal in
    spherical degree.  With one kind of neuron 1/(r c) is κ of tr T(T+κ)⁻¹ = r, and for features of the target's own
    form the risk is r·κ.  `features` is a number r or an array of them; the rest is as in `rf.random_neurons`; the risk is in
    units of the variance, or absolute with `relative=False`.  A law of your own (a subclass of `rf.features.Law`) counts
    by 65536 of its draws.

    **Range.** A deterministic equivalent of `rf.population_regression` at ridge → 0, averaged over draws and
    directions.  Measured figures are in docs/theory.md.

    **Raises** TypeError for a task that is not a single neuron, or a bias that is no law; ValueError for r below 1,
    unknown weights or a target of variance 0 (unless absolute).
    """
    neuron = single_neuron_only(task)
    counts = numbers("features", features, least=1.0)
    if relative and not neuron.variance > 0:
        raise ValueError("task must have a positive variance for a relative error: pass relative=False")
    kinds = _kinds(neuron, from_function(activation), weights, bias, None)
    risks = np.array([kinds.risk(float(r)) for r in counts.flat]).reshape(counts.shape)
    risks = risks / neuron.variance if relative else risks
    return risks if risks.ndim else float(risks)


def random_neuron_modes(
    task: Task,
    *,
    activation: Nonlinearity | Callable[[Array], Array] = relu,
    weights: str = "sphere",
    bias: Law = Normal(1.0),  # noqa: B008 (immutable)
    degree: int | None = None,
) -> Modes:
    """Eigenspaces of E σ(⟨w, x⟩+b)σ(⟨w, y⟩+b), x ~ N(0, I_d), and the energy of a single-neuron task in each.

    It is the kernel of `rf.random_neurons`, by the same arguments.  With a_k(s) the Hermite coefficients of a neuron
    of kind s = (‖w‖, b) and α_k those of the target, the harmonics of degree m have

        A[s, k] = √p_s·a_k(s)·√c(k, m, d),   t[k] = α_k √c(k, m, d)
        λ = the eigenvalues of AᵀA, N(d, m) of each,   v² = N(d, m)·(the part of t along each)²

    on Gauss nodes of both laws, c as in `rfjax.theory.harmonics`.  `degree` is the highest m: without it, up to 10¹⁰
    functions or degree 128.  What lies beyond, and beyond Hermite degree 1024, is `unresolved` and `outside`.

    **Raises** TypeError for a task that is not a single neuron, or a bias that is no law; ValueError for unknown
    weights or a negative degree.
    """
    kinds = _kinds(single_neuron_only(task), from_function(activation), weights, bias, degree)
    values, energies, logs = [], [], []
    for factor, target, log_count in zip(kinds.factors, kinds.targets, kinds.log_counts, strict=True):
        squares, vectors = np.linalg.eigh(factor.T @ (kinds.likely[:, None] * factor))
        real = squares > _RESOLVED * squares.max(initial=0)
        values.append(np.log(squares[real]) - log_count)
        energies.append((vectors[:, real].T @ target) ** 2)
        logs.append(np.full(real.sum(), log_count))
    found = np.concatenate(energies)
    return modes(
        np.concatenate(values),
        found,
        np.concatenate(logs),
        log=True,
        outside=max(kinds.square - float(found.sum()), 0.0),
        unresolved=float(kinds.likely @ kinds.tails),
    )


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Neurons by kind s = (norm, bias), and the target, in every spherical degree.

    The harmonics of degree m have T_s = f_s f_sᵀ/N on each of N(d, m) functions, f_s the row s of `factors[m]`.
    """

    likely: Float[np.ndarray, " s"]
    factors: Sequence[Float[np.ndarray, "s e"]]
    targets: Sequence[Float[np.ndarray, " e"]]
    log_counts: Float[np.ndarray, " m"]
    tails: Float[np.ndarray, " s"]  # tr T_s beyond the degrees
    square: float  # E g²

    def risk(self, r: float) -> float:
        """⟨g| M |g⟩ by Newton's method on ln c_s + ln tr(T_s M) = 0, whose plain iteration converges, but slowly."""
        log = -np.log(sum((factor**2).sum(1) for factor in self.factors) + self.tails)
        for step in range(_STEPS):
            each = r * self.likely * np.exp(log)
            trace, pairs = self._traces(each)
            gap = log + np.log(trace)
            if step < _WARM:
                log = log - gap
                continue
            log = log - np.linalg.solve(np.eye(len(log)) - pairs * each / trace[:, None], gap)
            if np.abs(gap).max() < 1e-10:
                break
        else:
            raise ValueError(f"features: the equations for {r:g} random neurons have not converged")
        each = r * self.likely * np.exp(log)
        left = self.square
        for _, target, inverse in self._inverses(each):
            left += target @ (inverse @ target) - target @ target
        return max(float(left), 0.0)

    def _traces(self, each: Float[np.ndarray, " s"]) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "s s"]]:
        """tr(T_s M) and tr(T_s M T_s' M)."""
        trace, pairs = self.tails.copy(), np.zeros((len(each), len(each)))
        for (factor, _, inverse), log_count in zip(self._inverses(each), self.log_counts, strict=True):
            cross = factor @ inverse @ factor.T
            trace += np.diagonal(cross)
            pairs += cross**2 * np.exp(-log_count)
        return trace, pairs

    def _inverses(self, each: Float[np.ndarray, " s"]):
        """M on each degree, in the coordinates of its factor."""
        for factor, target, log_count in zip(self.factors, self.targets, self.log_counts, strict=True):
            inner = factor.T @ (each[:, None] * np.exp(-log_count) * factor)
            yield factor, target, np.linalg.inv(np.eye(len(inner)) + inner)


def _kinds(neuron: SingleNeuron, sigma: Nonlinearity, weights: str, law: Law, degree: int | None) -> _Kinds:
    checks.choice("weights", weights, ("sphere", "gaussian"))
    d = neuron.d
    shifts, p_shift = _bias_nodes(law)
    norms, p_norm = (np.ones(1), np.ones(1)) if weights == "sphere" else gaussian_lengths(d, _NORMS)
    likely = np.outer(p_norm, p_shift).ravel()
    some = likely > _LIKELY
    pairs = [(float(norm), float(shift)) for norm in np.sqrt(norms) for shift in shifts]
    pairs = [pair for pair, keep in zip(pairs, some, strict=True) if keep]
    coefficients = np.stack([sigma.hermite_coefficients(_HERMITE, scale=norm, shift=shift) for norm, shift in pairs])
    squares = np.array([sigma.moments(scale=norm, shift=shift)[1] for norm, shift in pairs])
    counts, log_counts = multiplicities(d, _DEGREE if degree is None else checks.count("degree", degree, least=0))
    if degree is None:
        log_counts = log_counts[: 1 + int(np.searchsorted(np.cumsum(counts), _FUNCTIONS))]
    alpha = neuron.hermite_coefficients(_HERMITE)
    factors, targets = [], []
    for m, log_count in enumerate(log_counts):
        k = np.arange(m, _HERMITE + 1, 2)
        share = np.exp((log_share(k, m, d) + log_count) / 2)
        A, t = coefficients[:, k] * share, alpha[k] * share
        energy, vectors = np.linalg.eigh(A @ A.T)
        real = energy > _RESOLVED * energy.max(initial=0)
        factors.append(vectors[:, real] * np.sqrt(energy[real]))
        targets.append(vectors[:, real].T @ (A @ t) / np.sqrt(energy[real]))
    listed = sum((factor**2).sum(1) for factor in factors)
    tails = np.where(squares - listed > 1e-10 * squares, squares - listed, 0.0)
    square = neuron.mean**2 + neuron.variance
    return _Kinds(likely[some] / likely[some].sum(), factors, targets, log_counts, tails, square)


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
        case Law():
            drawn = law.draw(jax.random.key(0), _DRAWS)
            values, counts = np.unique(0.0 if drawn is None else np.asarray(drawn, np.float64), return_counts=True)
            return gauss_rule(values, counts / counts.sum(), _BIASES)
    raise TypeError(f"bias must be a law (Zero(), Constant(c), Normal(std), Uniform(low, high)), got {law!r}")

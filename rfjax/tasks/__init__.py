"""Tasks: Gaussian inputs, a target and its exact moments.

task = rf.tasks.single_neuron(d=100, norm=1.0, bias=-1.0)     x ↦ [⟨w, x⟩ + b]₊
X, y = task.sample(key, n);  task(X);  task.variance
"""

import math as _math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks as _checks
from rfjax.activations import Nonlinearity, from_function, identity, relu, sign
from rfjax.tasks.base import Task
from rfjax.tasks.function import FunctionTask, estimate_moments
from rfjax.tasks.modulated import Modulation
from rfjax.tasks.multi_index import MultiIndex, build
from rfjax.tasks.neuron import SingleNeuron, unit_direction
from rfjax.tasks.polynomial import RandomPolynomial, draw
from rfjax.tasks.teacher import ReLUTeacher, as_teacher, is_teacher, relu_teacher


def single_neuron(
    d: int,
    *,
    norm: float = 1.0,
    bias: float = 0.0,
    activation: Nonlinearity | Callable[[Array], Array] = relu,
    direction: Float[Array, " d"] | None = None,
    key: PRNGKeyArray | None = None,
) -> SingleNeuron:
    """The task x ↦ σ(norm·⟨direction, x⟩ + bias), x ~ N(0, I_d): the single neuron of Yehudai & Shamir 2019.

    `direction` (any nonzero vector, taken at unit length) or a `key` for a uniform one; by default the first axis.
    `bias` is b itself, not b/norm.

    **Raises** ValueError or TypeError for d below 1, a norm that is not positive, or a bad direction or key.
    """
    d = _checks.count("d", d)
    norm, bias = float(_checks.number("norm", norm, above=0.0)), float(_checks.number("bias", bias))
    return SingleNeuron(unit_direction(d, direction, key), norm, bias, from_function(activation))


def polynomial(d: int, degree: int, *, key: PRNGKeyArray, terms: int | None = None) -> RandomPolynomial:
    """A random polynomial of exactly this degree, mean 0 and variance 1, its energy spread evenly over degrees 1…degree.

        g(x) = Σ_{k=1}^{degree} Σ_{j=1}^{terms} c_kj h_k(⟨w_kj, x⟩),   w_kj uniform on the sphere, c_kj Gaussian

    `terms` defaults to d.  **Raises** ValueError or TypeError for sizes below 1 or a bad key.
    """
    d, degree = _checks.count("d", d), _checks.count("degree", degree)
    terms = d if terms is None else _checks.count("terms", terms)
    return draw(d, degree, terms, _checks.prng_key("key", key))


def multi_index(
    d: int,
    terms: Sequence[tuple[float, Mapping[int, Any]]],
    *,
    directions: Float[Array, "k d"] | None = None,
    key: PRNGKeyArray | None = None,
) -> MultiIndex:
    """A function of a few directions: g(x) = Σ_t c_t Π_i σ_ti(⟨w_i, x⟩), w_i orthonormal.

        rf.tasks.multi_index(50, [(1.0, {0: relu}), (0.5, {0: hermite(2), 1: erf})])

    A term is (coefficient, {index of a direction: activation or function}); {} is a constant.  `directions` [k, d] with
    orthonormal rows, or a `key` for uniform ones; by default the first axes.  Mean and variance are exact (to 1e-12 by
    quadrature in one variable).

    **Raises** TypeError or ValueError for d below 1, terms that are not of this form or use more than d directions, and
    directions that are not orthonormal.
    """
    return build(d, terms, directions, key)


def staircase(
    d: int,
    leaps: Sequence[int] = (1, 1, 1),
    *,
    directions: Float[Array, "k d"] | None = None,
    key: PRNGKeyArray | None = None,
) -> MultiIndex:
    """Products that grow step by step: g = (z_1 + z_1z_2 + z_1z_2z_3)/√3 for leaps (1, 1, 1); mean 0, variance 1.

    Each leap says how many new coordinates z_i = ⟨w_i, x⟩ the next product takes in: (1, 2) is (z_1 + z_1z_2z_3)/√2.
    Abbe, Boix-Adserà & Misiakiewicz 2023, *SGD learning on neural networks: leap complexity*.

    **Raises** as `multi_index`, and ValueError for leaps below 1 or none.
    """
    steps = [_checks.count("leaps", leap) for leap in leaps]
    if not steps:
        raise ValueError("leaps must hold at least one step, got none")
    scale = 1 / _math.sqrt(len(steps))
    ends = [sum(steps[: i + 1]) for i in range(len(steps))]
    return build(d, [(scale, dict.fromkeys(range(end), identity)) for end in ends], directions, key)


def parity(
    d: int, k: int, *, directions: Float[Array, "k d"] | None = None, key: PRNGKeyArray | None = None
) -> MultiIndex:
    """The parity of k signs: g(x) = Π_{i<=k} sign(⟨w_i, x⟩), mean 0 and variance 1.

    With the default axes it is the parity of the corner of the Boolean cube in whose orthant x lies.

    **Raises** as `multi_index`, and ValueError for k below 1.
    """
    return build(d, [(1.0, dict.fromkeys(range(_checks.count("k", k)), sign))], directions, key)


def modulated(
    d: int,
    *,
    frequency: float | None = None,
    direction: Float[Array, " d"] | None = None,
    key: PRNGKeyArray | None = None,
) -> SingleNeuron:
    """A line with a wave on it: g(x) = z + √2·sin(frequency·z), z = ⟨direction, x⟩; `frequency` is √d unless given.

    At frequency √d a constant relative error, below one half, needs exponentially many fixed features.

    **Raises** as `single_neuron`, and ValueError for a frequency that is not positive.
    """
    d = _checks.count("d", d)
    chosen = _math.sqrt(d) if frequency is None else float(_checks.number("frequency", frequency, above=0.0))
    return single_neuron(d, activation=Modulation(chosen), direction=direction, key=key)


def function(
    target: Callable[[Float[Array, "n d"]], Float[Array, " n"]],
    d: int,
    *,
    mean: float | None = None,
    variance: float | None = None,
    key: PRNGKeyArray | None = None,
) -> FunctionTask:
    """Your own target [n, d] → [n] over x ~ N(0, I_d).

    Give its `variance` (and `mean`, 0 if not said), or a `key` to estimate both from 2¹⁸ samples; with neither, the task
    samples and evaluates, and asking for its variance raises.

    **Raises** TypeError when `target` is not callable, ValueError for a negative variance, or a mean without variance.
    """
    if not callable(target):
        raise TypeError(f"target must be a function of X [n, d], got {type(target).__name__}")
    d = _checks.count("d", d)
    if variance is not None:
        known = 0.0 if mean is None else float(_checks.number("mean", mean))
        moments = (known, float(_checks.number("variance", variance, least=0.0)))
        return FunctionTask(target, d, moments)
    if mean is not None:
        raise ValueError("mean= needs variance= beside it: give both, or neither and a key= to estimate them")
    unknown = FunctionTask(target, d, None)
    return unknown if key is None else FunctionTask(target, d, estimate_moments(unknown, key))


__all__ = [
    "FunctionTask",
    "MultiIndex",
    "RandomPolynomial",
    "ReLUTeacher",
    "SingleNeuron",
    "Task",
    "as_teacher",
    "function",
    "is_teacher",
    "modulated",
    "multi_index",
    "parity",
    "polynomial",
    "relu_teacher",
    "single_neuron",
    "staircase",
]

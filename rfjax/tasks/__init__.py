"""Tasks: Gaussian inputs, a target and its exact moments.

task = rf.tasks.single_neuron(d=100, norm=1.0, bias=-1.0)     x ↦ [⟨w, x⟩ + b]₊
X, y = task.sample(key, n);  task(X);  task.variance
"""

from collections.abc import Callable

from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks as _checks
from rfjax.activations import Nonlinearity, from_function, relu
from rfjax.tasks.base import Task
from rfjax.tasks.function import FunctionTask, estimate_moments
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
    "RandomPolynomial",
    "ReLUTeacher",
    "SingleNeuron",
    "Task",
    "as_teacher",
    "function",
    "is_teacher",
    "polynomial",
    "relu_teacher",
    "single_neuron",
]

"""Population risk E(f(x) − g(x))²: exact for one hidden layer of ReLU neurons, otherwise sampled with its error.

Without a test set: E(⟨w,x⟩+b)₊(⟨v,x⟩+c)₊ has a closed form (`rfjax.numerics.relu_pair_moment`), and so has
every quadratic in such features: the risk of a trained network, its gradient, and the best readout of given features.
"""

from collections.abc import Callable
from functools import partial, singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from rfjax import checks
from rfjax.activations import LeakyReLU
from rfjax.activations.neurons import neuron_means, pair_moments
from rfjax.features import FeatureMap, Neurons
from rfjax.numerics import matmul
from rfjax.regression import FeatureFit, Stats, solve
from rfjax.tasks import Task, as_teacher, is_teacher

Predictor = Callable[[Float[Array, "n d"]], Float[Array, "n ..."]]


class Risk(eqx.Module):
    """A population risk: `value` = E(f − g)² (no ½), `stderr` its standard error, 0.0 when exact.

    `relative` is value/Var g, `relative_stderr` likewise.  An exact value is right to about `floor`, its rounding error;
    below it, it is rounding, and never negative.
    """

    value: Float[Array, "..."]
    stderr: Float[Array, "..."] | float
    floor: Float[Array, "..."] | float
    task: Task

    @property
    def relative(self) -> Float[Array, "..."]:
        """value / task.variance."""
        return self.value / self.task.variance

    @property
    def relative_stderr(self) -> Float[Array, "..."] | float:
        """stderr / task.variance."""
        return self.stderr / self.task.variance


@singledispatch
def readout(predictor: Any) -> tuple[Neurons, Float[Array, "... p"]] | None:
    """The predictor as f(x) = φ(x)·u with φ a layer of neurons, where it is one; None for every other predictor."""
    return None


@readout.register
def _(predictor: FeatureFit) -> tuple[Neurons, Float[Array, " p"]] | None:
    neurons = predictor.features.neurons
    u = predictor.coefficients
    if neurons is None or predictor.start is not None or u.size != u.shape[0]:
        return None
    return neurons, u.reshape(-1)


def population_risk(predictor: Predictor, task: Task, *, key: PRNGKeyArray | None = None, samples: int = 2**16) -> Risk:
    """E(f(x) − g(x))² over x ~ N(0, I_d): `r.value`, `r.stderr` (0.0 when exact), `r.relative` = value/task.variance.

    Exact, whatever the key, for a ReLU (or leaky ReLU, or |·|) neuron or a sum of such (`rf.tasks.relu_teacher`) as the
    task, and as predictor a readout of one layer of such neurons: fits on `rf.random_neurons` or on one-hidden-layer
    `rf.random_features`, and training runs of a neuron or of a one-hidden-layer network.

        value = uᵀK u − 2 kᵀu + E g²,   K = E φφᵀ,  k = E φ g

    In float32 its floor is about 1e-7·E g²; `r.floor` says.  Every other predictor, any function [n, d] → [n] or [n, 1],
    is sampled on `samples` fresh points, which needs a `key`.  Many runs trained together give a value each.

    **Raises** ValueError when it must sample and has no key, or when the predictor does not return one value a point.
    """
    if not isinstance(task, Task):
        raise TypeError(f"task must be made by rf.tasks, got {type(task).__name__}")
    exact = readout(predictor)
    if exact is not None and has_exact_risk(task, exact[0]):
        neurons, u = exact
        risk_and_floor: Callable[..., Any] = partial(_exact, task=as_arrays(task))
        for _ in range(u.ndim - 1):  # a run's axes: seeds, settings
            risk_and_floor = eqx.filter_vmap(risk_and_floor)
        value, floor = risk_and_floor(neurons, u)
        return Risk(jnp.maximum(value, 0), 0.0, floor, task)
    checks.count("samples", samples, least=2)
    if not callable(predictor):
        raise TypeError(f"predictor must be a function of X [n, d], got {type(predictor).__name__}")
    if key is None:
        raise ValueError("this risk has no exact formula and is sampled: pass key=jax.random.key(seed)")
    return _sampled(predictor, task, checks.prng_key("key", key), samples)


def has_exact_risk(task: Task, neurons: Neurons) -> bool:
    """Whether both are made of leaky ReLUs over the same inputs, so that every moment has a closed form."""
    known = is_teacher(task) and isinstance(neurons.activation, LeakyReLU)
    return known and neurons.weight.shape[-1] == task.d


def as_arrays(task: Any) -> Any:
    """The task with its numbers as arrays: tasks of one shape then share one compilation."""
    return jax.tree.map(jnp.asarray, task)


def exact_risk(neurons: Neurons, u: Float[Array, " p"], task: Task) -> Float[Array, ""]:
    """E(φ(x)·u − g(x))², differentiable in the neurons and in u; unclipped, so that descent can follow it."""
    return _quadratic(feature_moments(neurons, task), u)[0]


def _exact(neurons: Neurons, u: Float[Array, " p"], task: Task) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The risk and its rounding floor.  The moments are a program of their own, which fits and risks share."""
    return _quadratic(_moments(neurons, task), u)


@jax.jit
def _quadratic(
    moments: tuple[Float[Array, "p p"], Float[Array, " p"], Float[Array, ""]], u: Float[Array, " p"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    # The barrier keeps K from being computed again in each product that it enters.
    K, k, square = lax.optimization_barrier(moments)
    u = u.astype(K.dtype)
    value = u @ matmul(K, u) - 2 * k @ u + square
    floor = 8 * jnp.finfo(K.dtype).eps * (jnp.abs(u) @ matmul(jnp.abs(K), jnp.abs(u)) + square)
    return value, floor


def feature_moments(neurons: Neurons, task: Task) -> tuple[Float[Array, "p p"], Float[Array, " p"], Float[Array, ""]]:
    """K = E φφᵀ, k = E φ g and E g² for a layer of neurons φ and a task g that is a sum of neurons, all leaky ReLUs."""
    teacher = as_teacher(task)
    W, b, sigma, tau = neurons.weight, neurons.bias, neurons.activation, teacher.activation
    V, c, a = (value.astype(W.dtype) for value in (teacher.weight, teacher.bias, teacher.coefficients))
    if sigma == tau:  # one product for all: the teacher's are some more neurons
        r = W.shape[0]
        weights, biases = jnp.concatenate([W, V]), jnp.concatenate([jnp.zeros(r, W.dtype) if b is None else b, c])
        every = pair_moments(weights, biases, sigma, weights, biases, sigma)
        K, cross, own = every[:r, :r], every[:r, r:], every[r:, r:]
    else:
        K, cross = pair_moments(W, b, sigma, W, b, sigma), pair_moments(W, b, sigma, V, c, tau)
        own = pair_moments(V, c, tau, V, c, tau)
    K, k, square = neurons.scale**2 * K, neurons.scale * matmul(cross, a), a @ matmul(own, a)
    if neurons.constant is not None:
        edge = neurons.scale * neurons.constant * neuron_means(W, b, sigma)
        K = jnp.block([[K, edge[:, None]], [edge[None, :], jnp.full((1, 1), neurons.constant**2, K.dtype)]])
        k = jnp.concatenate([k, neurons.constant * (neuron_means(V, c, tau) @ a)[None]])
    return K, k, square


_moments = eqx.filter_jit(feature_moments)


def population_regression(features: FeatureMap, task: Task, *, ridge: Float[Array, ""] | float) -> FeatureFit:
    """The best readout of given features in the population: ridge regression on infinitely many samples, exactly.

        (E φφᵀ + ridge·I) u = E φ g

    `population_risk(fit, task)` of the fit is exact too; at ridge → 0 it is E g² − kᵀK⁻¹k.  `ridge` is absolute.

    **Raises** TypeError unless the features are one layer of leaky ReLU neurons and the task is one or a sum of such;
    ValueError when the moments are in float32 (they need `jax_enable_x64`: the features' overlaps are too close to
    singular), or, naming a ridge that works, when K + ridge·I is not positive definite.
    """
    checks.number("ridge", ridge, least=0.0)
    neurons = features.neurons if isinstance(features, FeatureMap) else None
    if neurons is None or not has_exact_risk(task, neurons):
        raise TypeError(
            "population_regression needs one layer of (leaky) ReLU neurons and a task of such neurons (a single-neuron task "
            "or rf.tasks.relu_teacher) over the same inputs; use ridge_regression on samples instead"
        )
    if neurons.weight.dtype != jnp.float64:
        raise ValueError(
            f"exact fits in the population need float64, got {neurons.weight.dtype}: set jax_enable_x64 before drawing"
        )
    K, k, _ = _moments(neurons, as_arrays(task))
    u, residual, ok = solve(K, k, ridge, throw=True)
    return FeatureFit(features, u, None, Stats("cholesky", "population", str(K.dtype), K.shape[0], ridge, residual, ok))


def _sampled(predictor: Predictor, task: Task, key: PRNGKeyArray, samples: int) -> Risk:
    batch = max(1, min(samples, 2**22 // max(task.d, 64), 2**13))
    errors = []
    for index in range(-(-samples // batch)):
        X, y = task.sample(jax.random.fold_in(key, index), min(batch, samples - index * batch))
        errors.append((_one_output(predictor(X), y) - y) ** 2)
    error = jnp.concatenate(errors, axis=-1)
    stderr = jnp.std(error, axis=-1, ddof=1) / error.shape[-1] ** 0.5
    return Risk(jnp.mean(error, axis=-1), stderr, 0.0, task)


def _one_output(values: Float[Array, "..."], y: Float[Array, " n"]) -> Float[Array, "... n"]:
    """Predictions [n], [n, 1], or with the leading axes of many runs, as [..., n]."""
    n = y.shape[0]
    if values.shape[-1:] == (1,) and values.shape[-2:-1] == (n,) and values.shape != (n,):
        values = values[..., 0]
    if values.ndim == 0 or values.shape[-1] != n:
        raise ValueError(f"predictor must return one value a point; for {n} points it returned {list(values.shape)}")
    return values

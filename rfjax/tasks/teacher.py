"""Sums of ReLU neurons as teachers: one hidden layer whose population moments are all known."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float

from rfjax import checks
from rfjax.activations import LeakyReLU, Nonlinearity, relu
from rfjax.numerics import gram, matmul
from rfjax.tasks.base import Task
from rfjax.tasks.neuron import SingleNeuron


class ReLUTeacher(Task):
    """g(x) = Σ_j a_j σ(⟨w_j, x⟩ + b_j), σ a (leaky) ReLU; made by `rf.tasks.relu_teacher`."""

    weight: Float[Array, "k d"]
    bias: Float[Array, " k"]
    coefficients: Float[Array, " k"]
    activation: Nonlinearity = eqx.field(static=True)

    @property
    def d(self) -> int:
        return self.weight.shape[-1]

    def _target(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        z = gram(X, self.weight.astype(X.dtype)) + self.bias.astype(X.dtype)
        return matmul(self.activation(z), self.coefficients.astype(X.dtype))

    @property
    def mean(self) -> float:
        W, b, a = (np.asarray(value, float) for value in (self.weight, self.bias, self.coefficients))
        return float(a @ sum(slope * _means(sign * W, sign * b) for sign, slope in self._parts))

    @property
    def variance(self) -> float:
        W, b, a = (np.asarray(value, float) for value in (self.weight, self.bias, self.coefficients))
        moments = sum(
            p * q * _moments(s * W, s * b, t * W, t * b) for s, p in self._parts for t, q in self._parts if p * q != 0
        )
        return float(a @ moments @ a) - self.mean**2

    @property
    def _parts(self) -> tuple[tuple[int, float], tuple[int, float]]:
        """(±1, slope) of σ(z) = p·(z)₊ + q·(−z)₊."""
        assert self.activation.relu_slopes is not None
        up, down = self.activation.relu_slopes
        return (1, up), (-1, down)


def relu_teacher(
    weight: Float[Array, "k d"],
    bias: Float[Array, " k"] | float = 0.0,
    coefficients: Float[Array, " k"] | float = 1.0,
    *,
    activation: Nonlinearity = relu,
) -> ReLUTeacher:
    """The task x ↦ Σ_j a_j σ(⟨w_j, x⟩ + b_j), x ~ N(0, I_d): a two-layer teacher of k neurons, σ a (leaky) ReLU.

    `weight` [k, d] holds the w_j; `bias` b and `coefficients` a are vectors [k] or one number for all.  Mean and variance
    are exact (float64, on the host), and so are the risks of one-hidden-layer (leaky) ReLU networks against it
    (`rf.population_risk`) and descent on them (`rf.train(..., exact=True)`).

        rf.tasks.relu_teacher(jnp.eye(4, 30), bias=-0.5)     four orthogonal neurons in 30 dimensions

    **Raises** ValueError or TypeError for wrong shapes, NaN or inf, or an activation that is no (leaky) ReLU.
    """
    if not isinstance(activation, LeakyReLU):
        raise TypeError(f"activation must be a (leaky) ReLU of rf.activations, got {activation!r}")
    weight = checks.points("weight", weight)
    count = weight.shape[0]
    return ReLUTeacher(
        weight, _vector("bias", bias, count, weight), _vector("coefficients", coefficients, count, weight), activation
    )


def is_teacher(task: Any) -> bool:
    """Whether the task is a sum of (leaky) ReLU neurons, or one of them."""
    return isinstance(task, ReLUTeacher) or (isinstance(task, SingleNeuron) and isinstance(task.activation, LeakyReLU))


def as_teacher(task: Task) -> ReLUTeacher:
    """Such a task as a sum of neurons."""
    if isinstance(task, ReLUTeacher):
        return task
    assert isinstance(task, SingleNeuron)
    weight = task.weight[None, :]
    return ReLUTeacher(weight, jnp.full((1,), task.bias, weight.dtype), jnp.ones(1, weight.dtype), task.activation)


def _vector(name: str, value: Any, count: int, weight: Float[Array, "k d"]) -> Float[Array, " k"]:
    if np.ndim(value) == 0:
        return jnp.full((count,), checks.number(name, value), weight.dtype)
    array = checks.targets(name, value, rows=count)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a number or have shape [{count}], got {list(array.shape)}")
    return array.astype(weight.dtype)


def _scaled(W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lengths, unit directions and b/‖w‖.  A neuron of zero weight, the constant (b)₊, is that of a tiny one."""
    a = np.maximum(np.linalg.norm(W, axis=1), 1e-12)
    return a, W / a[:, None], b / a


def _means(W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """E(⟨w_i, x⟩ + b_i)₊."""
    a, _, beta = _scaled(W, b)
    return a * (beta * scipy.special.ndtr(beta) + _density(beta))


def _moments(W: np.ndarray, b: np.ndarray, V: np.ndarray, c: np.ndarray) -> np.ndarray:
    """E(⟨w_i, x⟩ + b_i)₊(⟨v_j, x⟩ + c_j)₊ [k, l], with Φ₂ through Owen's T."""
    (a1, w, beta), (a2, v, gamma) = _scaled(W, b), _scaled(V, c)
    beta, gamma = np.broadcast_arrays(beta[:, None], gamma[None, :])
    below, above = (((w[:, None] - sign * v[None, :]) ** 2).sum(axis=2) / 2 for sign in (1, -1))  # 1 ∓ ρ
    rho, s = np.where(below < above, 1 - below, above - 1), np.sqrt(np.maximum(below * above, 1e-60))
    near = np.where(rho > 0, beta - gamma, beta + gamma)  # what is left of γ − ρβ as ρ → ±1, up to sign
    first = np.where(rho > 0, -near + below * beta, near - above * beta) / s  # (γ − ρβ)/s
    second = np.where(rho > 0, near + below * gamma, near - above * gamma) / s  # (β − ργ)/s
    q = near**2 / (2 * s**2) + beta * gamma * np.where(rho > 0, 1, -1) / (1 + np.abs(rho))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        corners = scipy.special.owens_t(beta, first / beta) + scipy.special.owens_t(gamma, second / gamma)
    both = (
        (scipy.special.ndtr(beta) + scipy.special.ndtr(gamma)) / 2
        - corners
        - np.where((beta < 0) != (gamma < 0), 0.5, 0.0)
    )
    both = np.where((beta == 0) & (gamma == 0), 0.25 + np.arcsin(np.clip(rho, -1, 1)) / (2 * np.pi), both)
    total = (
        (beta * gamma + rho) * both
        + gamma * _density(beta) * scipy.special.ndtr(first)
        + beta * _density(gamma) * scipy.special.ndtr(second)
    )
    return a1[:, None] * a2[None, :] * (total + s / (2 * np.pi) * np.exp(-q))


def _density(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)

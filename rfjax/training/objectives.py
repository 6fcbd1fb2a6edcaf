"""What gradient descent descends on: samples, a stream of fresh samples, or the population risk itself."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rfjax import checks
from rfjax.features import network_neurons
from rfjax.networks import Function, Layer, Params, outputs_2d
from rfjax.risk import as_arrays, exact_risk, has_exact_risk
from rfjax.tasks import Task

Loss = Callable[[Array, Array], Float[Array, ""]]


def half_mean_square(predictions: Float[Array, "n ..."], y: Float[Array, "n ..."]) -> Float[Array, ""]:
    """½·mean_i ‖f(x_i) − y_i‖², summed over outputs and averaged over points."""
    return jnp.sum((predictions - y) ** 2) / (2 * y.shape[0])


class Objective(eqx.Module):
    """A scalar function of the parameters and of what is drawn at random for a step, which does not depend on them."""

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray) -> Any:
        """What is random in one step: rows, samples, the key of Dropout's masks."""

    @abc.abstractmethod
    def loss(self, params: Params, drawn: Any) -> Float[Array, ""]:
        """What one step descends on."""

    @abc.abstractmethod
    def report(self, params: Params, key: PRNGKeyArray) -> Float[Array, ""]:
        """What the history records."""


class Samples(Objective):
    """The loss on n given samples: all of them, or `batch_size` drawn uniformly with replacement.

    What is reported is the loss on all of them, without Dropout.
    """

    function: Function
    X: Float[Array, "n d"]
    y: Float[Array, "n ..."]
    batch_size: int | None = eqx.field(static=True)
    criterion: Loss = eqx.field(static=True)

    def draw(self, key: PRNGKeyArray) -> tuple[Int[Array, " batch"] | None, PRNGKeyArray]:
        size = self.batch_size
        rows = None if size is None else jax.random.randint(key, (size,), 0, self.X.shape[0])
        return rows, _mask_key(key)

    def loss(self, params: Params, drawn: tuple[Int[Array, " batch"] | None, PRNGKeyArray]) -> Float[Array, ""]:
        rows, key = drawn
        X, y = (self.X, self.y) if rows is None else (self.X[rows], self.y[rows])
        return _loss(self.function, params, X, y, self.criterion, key)

    def report(self, params: Params, key: PRNGKeyArray) -> Float[Array, ""]:
        return _loss(self.function, params, self.X, self.y, self.criterion)


class Stream(Objective):
    """The loss on `batch_size` fresh samples of a task, at every step and, without Dropout, at every report."""

    function: Function
    task: Task
    batch_size: int = eqx.field(static=True)
    criterion: Loss = eqx.field(static=True)

    def draw(self, key: PRNGKeyArray) -> tuple[Float[Array, "batch d"], Float[Array, "batch ..."], PRNGKeyArray]:
        return *self.task.sample(key, self.batch_size), _mask_key(key)

    def loss(
        self, params: Params, drawn: tuple[Float[Array, "batch d"], Float[Array, "batch ..."], PRNGKeyArray]
    ) -> Float[Array, ""]:
        X, y, key = drawn
        return _loss(self.function, params, X, y, self.criterion, key)

    def report(self, params: Params, key: PRNGKeyArray) -> Float[Array, ""]:
        X, y = self.task.sample(key, self.batch_size)
        return _loss(self.function, params, X, y, self.criterion)


class ExactRisk(Objective):
    """½E(f − g)² without samples: f one hidden layer of leaky ReLUs (or one neuron), g one or a sum of such."""

    net: Layer
    task: Task

    @staticmethod
    def of(net: object, task: object, params: Params) -> "ExactRisk | None":
        """The exact risk of this model on this task, where it has one."""
        if not isinstance(net, Layer) or not isinstance(task, Task):
            return None
        found = network_neurons(net, params)
        return ExactRisk(net, as_arrays(task)) if found is not None and has_exact_risk(task, found[0]) else None

    def risk(self, params: Params) -> Float[Array, ""]:
        """E(f − g)²."""
        found = network_neurons(self.net, params)
        assert found is not None
        return exact_risk(*found, self.task)

    def draw(self, key: PRNGKeyArray) -> None:
        return None

    def loss(self, params: Params, drawn: None) -> Float[Array, ""]:
        return self.risk(params) / 2

    def report(self, params: Params, key: PRNGKeyArray) -> Float[Array, ""]:
        return self.loss(params, None)


def _loss(
    function: Function,
    params: Params,
    X: Float[Array, "n d"],
    y: Float[Array, "n ..."],
    criterion: Loss,
    key: PRNGKeyArray | None = None,
) -> Float[Array, ""]:
    values = checks.outputs("net", outputs_2d(function, params, X, key), like=y.shape)
    return criterion(values, y.astype(values.dtype))


def _mask_key(key: PRNGKeyArray) -> PRNGKeyArray:
    """Dropout draws from its own stream: the step's key itself has drawn the samples."""
    return jax.random.fold_in(key, 0xD207)

"""The data of a training, checked, and the objective that they make."""

from typing import Any

import jax
import jax.numpy as jnp

from rfjax import checks
from rfjax.networks import Function, Params, outputs_2d
from rfjax.tasks import Task
from rfjax.training.objectives import ExactRisk, Objective, Samples, Stream, half_mean_square


class Source:
    """The data checked, and which of the three objectives they are for."""

    def __init__(self, data: Any, batch_size: int | None, loss: Any, exact: bool, task: Task | None):
        self.batch_size = None if batch_size is None else checks.count("batch_size", batch_size)
        self.data, self.loss, self.exact = data, loss, exact
        self.task: Task | None = task
        self.dtype: Any = jnp.result_type(float)
        self.trailing: tuple[int, ...] = ()
        if not callable(loss):
            raise TypeError(f"loss must be a function of (predictions, y), got {type(loss).__name__}")
        if task is not None and not isinstance(task, Task):
            raise TypeError(f"task must be made by rf.tasks, got {type(task).__name__}")
        if isinstance(data, Task):
            if task is not None:
                raise ValueError("task= names the task behind samples (X, y); here the data are a task already")
            if not exact and batch_size is None:
                raise ValueError(
                    "a task streams fresh samples: say how many a step with batch_size=, or use exact=True"
                )
            if exact and (batch_size is not None or loss is not half_mean_square):
                raise ValueError(
                    "exact=True descends on the population risk itself: it takes no batch_size and no loss"
                )
            self.task, self.columns = data, data.d
            self.random = not exact
            return
        if exact:
            raise ValueError(
                "exact=True needs a task as data, rf.train(net, task, exact=True): samples have no exact risk"
            )
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise TypeError(f"data must be a pair (X, y) or a task, got {type(data).__name__}")
        X = checks.points("X", data[0], columns=None if task is None else task.d)
        y = checks.targets("y", data[1], rows=X.shape[0])
        self.data, self.columns, self.dtype = (X, y), X.shape[1], X.dtype
        self.trailing = tuple(y.shape[1:])
        self.random = self.batch_size is not None
        if self.batch_size is not None and self.batch_size > X.shape[0]:
            raise ValueError(f"batch_size must be at most the number of rows, {X.shape[0]}, got {self.batch_size}")

    def objective(self, function: Function, net: Any, params: Params) -> Objective:
        """The loss to descend on, after one shape check of the model."""
        if self.exact:
            objective = ExactRisk.of(net, self.task, params)
            if objective is None:
                raise ValueError(
                    "exact=True needs a (leaky) ReLU neuron as the task, or a sum of such, and as model rf.neuron or an "
                    "rf.mlp of depth 1 with one output and such an activation"
                )
            return objective
        probe = jax.ShapeDtypeStruct((2, self.columns), self.dtype)
        like = (2, *self.trailing)
        jax.eval_shape(lambda p, x: checks.outputs("net", outputs_2d(function, p, x), like=like), params, probe)
        if isinstance(self.data, Task):
            return Stream(function, jax.tree.map(jnp.asarray, self.data), self.batch_size or 1, self.loss)
        X, y = self.data
        return Samples(function, X, y, self.batch_size, self.loss)

    def validation(self, function: Function, data: Any) -> Samples:
        """The loss on held-out samples, which must be like those of training."""
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise TypeError(f"validation must be a pair (X, y), got {type(data).__name__}")
        X = checks.points("validation X", data[0], columns=self.columns)
        y = checks.targets("validation y", data[1], rows=X.shape[0])
        if tuple(y.shape[1:]) != self.trailing:
            raise ValueError(f"validation y must have y's trailing shape {list(self.trailing)}, got {list(y.shape)}")
        return Samples(function, X.astype(self.dtype), y, None, self.loss)

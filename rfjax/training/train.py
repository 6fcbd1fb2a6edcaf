"""The gradient-descent baseline: any model, any optax optimiser, one compiled loop, several seeds at once."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rfjax import checks
from rfjax.networks import Function, Layer, Params, as_function, has_dropout, outputs_2d
from rfjax.progress import Progress, reporter
from rfjax.tasks import Task
from rfjax.training.loop import Loop, Metric, descend
from rfjax.training.objectives import ExactRisk, Objective, Samples, Stream, half_mean_square
from rfjax.training.run import Run

RECORDS = 100  # in a history, when nothing is said


def train(
    net: Layer | Function | Any,
    data: tuple[Float[Array, "n d"], Float[Array, "n ..."]] | Task,
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    key: PRNGKeyArray | None = None,
    params: Params | None = None,
    batch_size: int | None = None,
    loss: Callable[[Array, Array], Float[Array, ""]] = half_mean_square,
    exact: bool = False,
    task: Task | None = None,
    target_risk: float | None = None,
    record: int | Sequence[int] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    progress: bool | Progress = False,
) -> Run:
    """Train a network, or any f(params, X), with any optax optimiser, in one compiled loop.

        rf.train(net, (X, y), ...)                       full batch; with batch_size, rows drawn uniformly each step
        rf.train(net, task, batch_size=512, ...)         a fresh batch of the task every step
        rf.train(neuron, task, exact=True, ...)          descent on ½E(f − g)² itself, no samples: one hidden layer of
                                                         (leaky) ReLU neurons on a single-neuron task

    The loss is ½·mean‖f(x) − y‖² unless `loss(predictions, y)` says otherwise.  Training starts at `params`, or at
    net.init(key, d).  A `key` of shape [s] trains s seeds in one program (given `params` then have a leading axis s).

    Recorded are step 0, the last step and those in between that `record` asks for: an int is every so many steps, a
    sequence those steps, None about a hundred.  `metrics` maps names to functions of the parameters.  The exact
    population risk is recorded where it exists: data is a task, or `task` names the one behind (X, y), and the model is
    one hidden layer of (leaky) ReLUs.  `target_risk` stops when a recorded risk (absolute, without ½) is at or below it.
    Dropout draws new masks at every step; what is recorded, and the run's predictions, are without it.
    `progress` True shows a bar; a function of (step, steps) is called at every record.

    It jits and vmaps; its loop has no reverse-mode derivative.  When the loss becomes NaN or infinite, training stops,
    keeps the last good parameters recorded, sets `run.diverged` and warns.

    **Raises** TypeError or ValueError for bad data or settings: no key where one is needed, a stream without
    batch_size, exact=True or target_risk where no exact risk exists.
    """
    steps = checks.count("steps", steps)
    schedule = _schedule(record, steps)
    if target_risk is not None:
        checks.number("target_risk", target_risk, least=0.0)
    for name, metric in (metrics or {}).items():
        if not callable(metric):
            raise TypeError(f"metrics must map names to functions of the parameters, got {metric!r} for {name!r}")
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(f"optimizer must be an optax optimiser (optax.adam(1e-2)), got {type(optimizer).__name__}")
    function, settings = as_function(net), _Settings(data, batch_size, loss, exact, task)
    if key is None and (params is None or settings.random or has_dropout(net)):
        raise ValueError(
            "key is required: initial parameters, batches or Dropout are random (pass key=jax.random.key(seed))"
        )
    keys = jax.random.key(0) if key is None else checks.prng_key("key", key, batched=True)
    seeds = keys.ndim == 1
    params = _initial(net, params, keys, settings.columns, settings.dtype)
    one = jax.tree.map(lambda leaf: leaf[0], params) if seeds else params
    objective = settings.objective(function, net, one)
    risk = ExactRisk.of(net, settings.task, one)
    if target_risk is not None and risk is None:
        raise ValueError(
            "target_risk needs an exact population risk: a (leaky) ReLU neuron as the task (data or task=) and one "
            "hidden layer of such neurons as the model"
        )
    limit = jnp.asarray(-jnp.inf if target_risk is None else target_risk, float)
    with reporter(progress, steps, "training") as report:
        loop = Loop(objective, risk, limit, optimizer, tuple((metrics or {}).items()), report)
        final, history, taken, diverged, written = descend(loop, params, keys, jnp.asarray(schedule))
        if report is not None:
            jax.block_until_ready(final)
    model = net if isinstance(net, Layer) else function
    run = Run(model, final, history, taken, diverged, settings.columns, settings.trailing, seeds)
    return run if checks.is_traced(run, written) else _finished(run, int(written))


def _finished(run: Run, written: int) -> Run:
    """The run with its history cut to what was recorded; says so when a seed diverged."""
    history = jax.tree.map(lambda leaf: leaf[..., :written], run.history)
    if bool(run.diverged.any()):
        which = f" in {int(run.diverged.sum())} of {run.diverged.size} seeds" if run.seeds else ""
        warnings.warn(
            f"training diverged{which}: the loss was NaN or infinite after step {np.asarray(run.steps).tolist()}, whose "
            "parameters are kept (a smaller learning rate?)",
            RuntimeWarning,
            stacklevel=3,
        )
    return eqx.tree_at(lambda r: r.history, run, history)


class _Settings:
    """The data checked, and which of the three objectives they are for."""

    def __init__(self, data: Any, batch_size: int | None, loss: Any, exact: bool, task: Task | None):
        self.batch_size = None if batch_size is None else checks.count("batch_size", batch_size)
        self.data, self.loss, self.exact = data, loss, exact
        self.task: Task | None = task
        self.dtype: Any = jnp.zeros(()).dtype
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
                    "exact=True needs a (leaky) ReLU neuron as the task and as model rf.neuron or an rf.mlp of depth 1 "
                    "with one output and such an activation"
                )
            return objective
        probe = jax.ShapeDtypeStruct((2, self.columns), self.dtype)
        like = (2, *self.trailing)
        jax.eval_shape(lambda p, x: checks.outputs("net", outputs_2d(function, p, x), like=like), params, probe)
        if isinstance(self.data, Task):
            return Stream(function, jax.tree.map(jnp.asarray, self.data), self.batch_size or 1, self.loss)
        X, y = self.data
        return Samples(function, X, y, self.batch_size, self.loss)


def _initial(net: Any, params: Params | None, keys: PRNGKeyArray, columns: int, dtype: Any) -> Params:
    drawn = params is None
    if drawn:
        if not hasattr(net, "init"):
            raise ValueError("params= is required: a plain function f(params, X) has no init to draw them")
        params = (
            net.init(keys, columns)
            if isinstance(net, Layer) or not keys.ndim
            else jax.vmap(lambda k: net.init(k, columns))(keys)
        )
    params = jax.tree.map(lambda leaf: checks.floating("every parameter", leaf), params)
    if drawn:
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    for leaf in jax.tree.leaves(params):
        if keys.ndim and (leaf.ndim == 0 or leaf.shape[0] != keys.shape[0]):
            raise ValueError(
                f"with key of shape [{keys.shape[0]}] every parameter must have a leading axis of that size, "
                f"got shape {list(leaf.shape)}"
            )
    return params


def _schedule(record: int | Sequence[int] | None, steps: int) -> Int[np.ndarray, " T"]:
    """The steps to record: 0, those asked for, and the last."""
    if record is None:
        record = max(1, steps // RECORDS)
    if isinstance(record, (int, np.integer)):
        asked = np.arange(0, steps, checks.count("record", record))
    elif not isinstance(record, Sequence | np.ndarray) or isinstance(record, str):
        raise TypeError(f"record must be an integer or a sequence of steps, got {record!r}")
    else:
        asked = np.asarray([checks.count("record", value, least=0) for value in record], dtype=int)
        if asked.size and asked.max() > steps:
            raise ValueError(f"record must name steps up to steps={steps}, got {asked.max()}")
    return np.unique(np.concatenate([[0], asked, [steps]])).astype(np.int32)
